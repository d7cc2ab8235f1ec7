// One message, as it is shown: its content, who and when, what became of it, and what can be done with it.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { bytes, clock, duration, moment, t } from "../../shared/words.js";
import { dialog, menu, note, sure } from "../../shared/dialog.js";
import { segment } from "../../shared/call.js";
import { save } from "../files.js";
import { faceOf } from "./avatar.js";
import { choose } from "./choose.js";
import { lightbox } from "./lightbox.js";
import { refusal, said } from "./say.js";
import { voice } from "./voice.js";

/** In one line, for lists and for screen readers. */
export function plain(app, chat, item) {
  const { model } = app;
  if (item.type === "notice") return notice(app, chat, item);
  const mine = item.mine ?? true;
  const who = mine ? t("you") : model.nameOf(item.from);
  if (item.recalled) return mine ? t("recalled.you") : t("recalled.other", { name: who });
  const kind = item.kind;
  const text = kind === "text" ? (item.text ?? item.content?.message ?? "") : t(`kind.${kind}`, { name: item.name ?? item.content?.name ?? "" });
  const line = text.replace(/\s+/g, " ").slice(0, 200);
  return mine || chat.scene === "group" ? t("said", { who, text: line }) : line;
}

/** What happened, as a sentence. */
export function notice(app, chat, item) {
  const { model } = app;
  const of = (info) => (info.userID === model.me.userID ? t("you") : info.name);
  if (item.about === "friend") {
    const who = model.nameOf(item.userID);
    if (item.state) return t("friend.failed", { name: who, why: said(item.code, item.msg) });
    return t(`friend.${item.said}.${item.direction}`, { name: who });
  }
  if (item.about === "answer") {
    const why = item.result === "failed" ? said(item.code, item.msg) : "";
    return t(`group.answer.${item.result}`, { name: of(item.user), why });
  }
  const who = of(item.operUser);
  const names = item.users.map(of).join(t("comma"));
  const self = item.users.length === 1 && item.users[0].userID === item.operUser.userID;
  if (item.operType === 1 && self) return t("notice.joined", { who });
  if (item.operType === 2 && self) return t("notice.left", { who });
  return t(`notice.${item.operType}`, { who, names, group: item.groupInfo.groupName });
}

/** What names a row: a message of one's own stays the same one from writing on, its messageID comes later. */
export const rowKey = (item) => (item.clientID ? `u:${item.clientID}` : item.id);

/** What became of a message of one's own. */
export function stateOf(app, item) {
  if (item.clientID && !item.messageID) return { state: item.state, code: item.code, msg: item.msg };
  return app.model.states.get(item.messageID) ?? { state: "kept" };
}

const DRAWINGS = { sending: "clock", uploading: "clock", paused: "clock", kept: "kept", waiting: "kept", delivered: "delivered", held: "pause", refused: "refused", dropped: "refused", expired: "refused" };
const FAILED = ["refused", "dropped", "expired"];

/** A row of the flow. `grouped`: it goes on from the one before. */
export function messageRow(app, chat, item, { grouped }) {
  const mine = item.mine ?? true;
  const state = mine && !item.recalled ? stateOf(app, item) : {};
  const person = mine ? undefined : app.model.person(item.from);
  const report = mine ? app.model.states.get(`file:${item.messageID}`) : undefined;
  const sign = [item.messageID, state.state, state.msg, grouped, item.recalled, item.failed?.msg, item.changed, person?.name, person?.portrait, item.mediaID, report?.msg].join("|");
  return {
    key: rowKey(item), sign,
    make: () => build(app, chat, item, { grouped, mine, state, report }),
    update: (element) => element.progress?.(item),
  };
}

function build(app, chat, item, { grouped, mine, state, report }) {
  const { model } = app;
  const failed = FAILED.includes(state.state);
  const who = mine ? t("you") : model.nameOf(item.from);
  const more = h("button", { type: "button", class: "more plain round", tabindex: "-1", "aria-haspopup": "menu", "aria-label": t("message.menu"), title: t("message.menu"), onclick: (event) => options(app, chat, item, event.currentTarget) }, icon("more"));
  const content = item.recalled ? h("span", { class: "gone" }, icon("undo"), mine ? t("recalled.you") : t("recalled.other", { name: who })) : show(app, item);
  const meta = h("span", { class: "meta" }, h("time", { datetime: new Date(item.at).toISOString(), title: moment(item.at) }, clock(item.at)), mine && !item.recalled && sign(state));
  const bubble = h("div", { class: ["bubble", item.recalled && "recalled", !item.recalled && `of-${item.kind}`, jumbo(item) && "jumbo"] }, content, meta);
  const element = h("article", {
    class: ["message", mine ? "mine" : "theirs", grouped && "grouped", failed && "failed"], tabindex: "-1",
    "aria-label": `${who}, ${clock(item.at)}: ${plain(app, chat, item)}${mine && state.state ? `. ${t(`state.${state.state}`)}` : ""}`,
  },
    !mine && (grouped ? h("span", { class: "avatar-space" }) : h("button", { type: "button", class: "plain face", tabindex: "-1", "aria-label": t("details.of", { name: who }), onclick: () => app.details.person(item.from) }, faceOf(app, item.from, "small"))),
    h("div", { class: "message-main" },
      !mine && !grouped && chat.scene === "group" && h("header", { class: "message-from" }, name(who)),
      h("div", { class: "bubble-line" }, bubble, !item.recalled && more),
      outcome(app, chat, item, state, report)));
  element.progress = content.progress;
  return element;
}

function sign(state) {
  const words = t(`state.${state.state}`);
  return h("span", { class: ["state", state.state], title: words, role: "img", "aria-label": words }, icon(DRAWINGS[state.state] ?? "kept"));
}

/** What policy or delivery has to say about a message, under it. */
function outcome(app, chat, item, state, report) {
  const lines = [];
  const retry = item.clientID && !item.messageID;
  if (state.state === "refused") {
    // A policy's word is told as what it is: a rule of somebody's, with the reason given.
    const where = retry ? "here" : "there";
    const rule = state.code === 1102 || state.code === 1103;
    const words = rule ? t(`policy.${where}`, { name: app.model.title(chat) }) : t(`refused.${where}`, { why: said(state.code, state.msg) });
    lines.push(h("p", { class: "outcome bad" }, words, rule && state.msg && h("span", { class: "reason" }, " ", t("policy.reason", { msg: state.msg }))));
    if (retry) lines.push(h("p", { class: "outcome-acts" }, again(app, chat, item), drop(app, item)));
    else if (item.kind === "text") lines.push(h("p", { class: "outcome-acts" }, edit(app, item.content.message)));
  } else if (state.state === "held") lines.push(h("p", { class: "outcome" }, t("held")));
  else if (state.state === "dropped") lines.push(h("p", { class: "outcome bad" }, t("dropped", { why: state.msg ?? "" })));
  else if (state.state === "expired") lines.push(h("p", { class: "outcome bad" }, t("expired")));
  if (item.changed && !item.recalled) lines.push(h("p", { class: "outcome" }, t("masked")));
  if (item.failed) lines.push(h("p", { class: "outcome bad" }, t("file.failed", { why: said(item.failed.code, item.failed.msg) })));
  if (report) lines.push(h("p", { class: "outcome bad" }, t("file.unreceived", { name: report.userID ?? "", why: said(report.code, report.msg) })));
  return lines.length > 0 && h("div", { class: "outcomes" }, lines);
}

function edit(app, text, before) {
  return h("button", { type: "button", class: "link", onclick: () => { before?.(); app.chat.composer.write(text); } }, icon("edit"), t("edit.again"));
}

function again(app, chat, item) {
  if (item.kind === "text") return edit(app, item.text, () => app.model.discard(item.clientID));
  return item.mediaID && h("button", { type: "button", class: "link", onclick: () => app.sender.again(item) }, icon("retry"), t("again"));
}

function drop(app, item) {
  return h("button", { type: "button", class: "link", onclick: () => app.model.discard(item.clientID) }, icon("trash"), t("discard"));
}

const LINK = /\bhttps?:\/\/[^\s<>"'“”‘’，。；！？（）【】《》]+[^\s<>"'“”‘’，。；！？（）【】《》.,;:!?)\]]/g;
const JUMBO = /^(?:\p{Extended_Pictographic}\uFE0F?(?:\u200D\p{Extended_Pictographic}\uFE0F?|\p{Emoji_Modifier})*\s*){1,3}$/u;

function jumbo(item) {
  return item.kind === "text" && !item.recalled && JUMBO.test(item.text ?? item.content.message);
}

/** Text, with its links to be followed. Nothing in it is anything but text. */
function words(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(at, match.index), h("a", { href: match[0], target: "_blank", rel: "noopener noreferrer nofollow" }, match[0]));
    at = match.index + match[0].length;
  }
  return h("p", { class: "text", dir: "auto" }, parts, text.slice(at));
}

function show(app, item) {
  if (item.kind === "text") return words(item.text ?? item.content.message);
  if (item.clientID && !item.messageID) return underWay(app, item);
  if (item.failed) return card("file", item.content.name, item.content.size);
  if (item.kind === "image") return picture(app, item);
  if (item.kind === "voice") return voice(app, item.content);
  return file(app, item);
}

function card(drawing, title, size, ...more) {
  return h("div", { class: "file" }, h("span", { class: "file-icon" }, icon(drawing)),
    h("span", { class: "file-main" }, name(title, { class: "file-name" }), h("span", { class: "file-size" }, size !== undefined && bytes(size))), more);
}

/** A file that is being uploaded, or waits for its message to be taken. */
function underWay(app, item) {
  const bar = h("progress", { max: "1", value: 0, "aria-label": t("upload.progress", { name: item.name ?? "" }) });
  const word = h("span", { class: "file-size" });
  const cancel = h("button", { type: "button", class: "plain round", "aria-label": t("upload.cancel"), title: t("upload.cancel"), onclick: () => app.sender.cancel(item.clientID) }, icon("close"));
  const preview = item.preview && h("img", { class: "preview", src: item.preview, alt: "" });
  const element = h("div", { class: ["file", "under-way"] }, preview || h("span", { class: "file-icon" }, icon(item.kind === "voice" ? "microphone" : "file")),
    h("span", { class: "file-main" }, name(item.name ?? t(`kind.${item.kind}`, { name: "" }), { class: "file-name" }), word, bar), cancel);
  element.progress = ({ state, progress = 0, size = 0 }) => {
    const going = state === "uploading" || state === "paused";
    bar.hidden = cancel.hidden = !going;
    bar.value = size > 0 ? progress / size : 0;
    const part = t("upload.of", { done: bytes(progress), all: bytes(size) });
    fill(word, state === "paused" ? t("upload.paused", { part }) : going ? part : bytes(size));
  };
  element.progress(item);
  return element;
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    target.load();
  }
}, { rootMargin: "400px" });

function picture(app, item) {
  const { mediaID, name: title, size } = item.content;
  const element = h("button", { type: "button", class: "picture loading", "aria-label": t("picture.open", { name: title }), onclick: () => lightbox(app, item) });
  element.load = () => app.files.picture(mediaID).then(({ url, width, height }) => {
    const factor = Math.min(1, 320 / width, 320 / height);
    element.classList.remove("loading");
    element.style.setProperty("aspect-ratio", `${width} / ${height}`);
    element.style.setProperty("width", `${Math.max(48, Math.round(width * factor))}px`);
    fill(element, h("img", { src: url, alt: title }));
  }, (error) => {
    element.classList.remove("loading");
    fill(element, icon("picture"), h("span", null, name(title), " ", bytes(size)), h("span", { class: "outcome bad" }, refusal(error)));
  });
  seen.observe(element);
  return element;
}

function file(app, item) {
  const { mediaID, name: title, size } = item.content;
  const bar = h("progress", { max: String(size || 1), value: 0, hidden: true, "aria-label": t("download.progress", { name: title }) });
  const word = h("span", { class: "file-size" }, bytes(size));
  const button = h("button", { type: "button", class: "plain round", onclick: () => (abort ? abort.abort() : fetchIt()) });
  let abort;
  const idle = () => {
    abort = undefined;
    bar.hidden = true;
    fill(button, icon("download"));
    button.setAttribute("aria-label", t("download", { name: title }));
    button.title = t("download.short");
  };
  async function fetchIt() {
    abort = new AbortController();
    bar.hidden = false;
    fill(button, icon("close"));
    button.setAttribute("aria-label", t("download.cancel"));
    button.title = t("download.cancel");
    try {
      const progress = (done) => {
        bar.value = done;
        fill(word, t("upload.of", { done: bytes(done), all: bytes(size) }));
      };
      const blob = await app.files.download(mediaID, { size, signal: abort.signal, progress, pause: () => fill(word, t("upload.paused", { part: bytes(bar.value) })) });
      save(blob, title);
      fill(word, t("download.done", { size: bytes(size) }));
    } catch (error) {
      fill(word, error.name === "AbortError" ? bytes(size) : refusal(error));
    }
    idle();
  }
  idle();
  const video = /\.mp4$/i.test(title) && h("button", { type: "button", class: "plain round", "aria-label": t("video.play", { name: title }), title: t("video.play.short"), onclick: () => lightbox(app, item) }, icon("play"));
  return h("div", { class: "file" }, h("span", { class: "file-icon" }, icon("file"), h("b", null, ending(title))),
    h("span", { class: "file-main" }, name(title, { class: "file-name" }), word, bar), video, button);
}

const ending = (title) => /\.(\w{1,4})$/.exec(title)?.[1].toUpperCase() ?? "";

/** May it be taken back? R7: by its sender for a while; in a group by owner and admins too. */
function recallable(app, chat, item) {
  if (item.type !== "message" || item.recalled || !item.messageID) return false;
  const leads = chat.scene === "group" && (app.model.groups.get(chat.id)?.userType ?? 0) > 1;
  const state = stateOf(app, item).state;
  return (item.mine ? !FAILED.includes(state) : leads) && Date.now() - item.at < (app.model.me.recallS ?? 120) * 1000;
}

export function options(app, chat, item, anchor) {
  const text = item.kind === "text" ? (item.text ?? item.content?.message) : undefined;
  const whole = item.type === "message" && item.messageID && !item.failed;
  menu(anchor, [
    text && { label: t("copy"), icon: "copy", act: () => navigator.clipboard.writeText(text).then(() => note(t("copied")), () => note(t("error.1"), "bad")) },
    whole && item.kind !== "text" && { label: t("download.short"), icon: "download", act: () => fetchAndSave(app, item) },
    whole && { label: t("forward"), icon: "send", act: () => forward(app, item) },
    { label: t("message.info"), icon: "info", act: () => info(app, chat, item) },
    recallable(app, chat, item) && { label: t("recall"), icon: "undo", danger: true, act: () => recall(app, chat, item) },
    !item.messageID && { label: t("discard"), icon: "trash", danger: true, act: () => app.sender.cancel(item.clientID) },
  ]);
}

async function fetchAndSave(app, item) {
  try {
    save(await app.files.download(item.content.mediaID, { size: item.content.size }), item.content.name);
  } catch (error) {
    note(refusal(error), "bad");
  }
}

async function forward(app, item) {
  const chat = await choose(app, { title: t("forward") });
  if (!chat) return;
  app.sender.forward(chat, item);
  app.chat.show(chat.key);
}

export async function recall(app, chat, item) {
  if (!recallable(app, chat, item)) return;
  const yes = await sure({ title: t("recall.title"), text: t("recall.text"), yes: t("recall") });
  if (!yes) return;
  try {
    if (chat.scene === "group") await app.api.post(`/client/v1/groups/${segment(chat.id)}/recall`, { messageID: item.messageID });
    else await app.api.post(`/client/v1/messages/${segment(item.messageID)}/recall`);
  } catch (error) {
    note(error.code === 1202 ? t("recall.late") : refusal(error), "bad");
  }
}

function info(app, chat, item) {
  const mine = item.mine ?? true;
  const state = mine ? stateOf(app, item) : undefined;
  const row = (label, value) => value && [h("dt", null, label), h("dd", null, value)];
  dialog({
    title: t("message.info"), kind: "small",
    body: h("dl", { class: "facts" },
      row(t("info.from"), name(mine ? app.model.me.userID : item.from)),
      row(t("info.at"), moment(item.at)),
      state && row(t("info.state"), t(`state.${state.state}`)),
      state?.msg && row(t("info.why"), said(state.code, state.msg)),
      item.messageID && row(t("info.id"), h("code", null, item.messageID)),
      item.content?.md5 && row("MD5", h("code", null, item.content.md5))),
  });
}

export function length(seconds) {
  return duration(seconds);
}
