// Groups: made, joined, invited into, shown as a QR code, and run by those who lead them.

import { fill, h, name } from "../../shared/dom.js";
import { draw } from "../../shared/qr.js";
import { moment, t } from "../../shared/words.js";
import { act, dialog, note } from "../../shared/dialog.js";
import { keyOf } from "../model.js";
import { segment } from "../../shared/call.js";
import { avatar } from "./avatar.js";
import { ticks } from "./choose.js";
import { refusal } from "./say.js";

export const pathOf = (groupID, more = "") => `/client/v1/groups/${segment(groupID)}${more}`;

const option = (checked, label, hint) => {
  const box = h("input", { type: "checkbox", checked });
  return { box, element: h("label", { class: "check" }, box, h("span", null, label, hint && h("small", null, hint))) };
};

/** A dialog with one button that does something. */
function task({ title, body, label, work, wide }) {
  const button = h("button", { type: "submit", class: "primary" }, label);
  const form = h("form", { class: "stack", onsubmit: (event) => run(event) }, body);
  const run = act(button, async () => {
    const done = await work();
    if (done !== false) asked.close(true);
  }, refusal);
  button.addEventListener("click", run);
  const asked = dialog({ title, body: form, wide, actions: [h("button", { type: "button", class: "quiet", onclick: () => asked.close() }, t("cancel")), button] });
  return asked;
}

export function create(app) {
  const title = h("input", { type: "text", required: true, maxlength: "128", autocomplete: "off", autofocus: true });
  const open = option(true, t("group.open"), t("group.open.hint"));
  const visible = option(true, t("group.visible"), t("group.visible.hint"));
  const people = ticks(app);
  task({
    title: t("group.new"), label: t("group.create"),
    body: [h("label", null, t("group.name"), title), open.element, visible.element, h("h3", null, t("group.invite")), people.element],
    work: async () => {
      if (!title.value.trim()) {
        title.focus();
        return false;
      }
      const made = await app.api.post("/client/v1/groups", { groupName: title.value.trim(), isAllow: open.box.checked, isVisible: visible.box.checked });
      const { groupID } = made.groupInfo;
      const users = people.chosen();
      await app.model.reloadGroups();
      app.chat.show(keyOf("group", groupID));
      if (users.length > 0) await app.api.post(pathOf(groupID, "/invite"), { users }).then(() => note(t("group.invited.sent", { n: users.length })), (error) => note(refusal(error), "bad"));
      return true;
    },
  });
}

export function invite(app, groupID) {
  const people = ticks(app, { without: app.model.membersOf(groupID).map((member) => member.userInfo.userID) });
  task({
    title: t("group.invite"), label: t("group.invite.go"), body: people.element,
    work: async () => {
      const users = people.chosen();
      if (users.length === 0) return false;
      await app.api.post(pathOf(groupID, "/invite"), { users });
      note(t("group.invited.sent", { n: users.length }));
      return true;
    },
  });
}

/** The ticket in a link, or the ticket itself. */
function ticketIn(text) {
  const found = /[#&?]join=([^&\s]+)/.exec(text)?.[1];
  return found ? decodeURIComponent(found) : text.trim();
}

/** Joins by a ticket, after asking. */
export function join(app, ticket) {
  const code = h("textarea", { rows: "3", value: ticket, spellcheck: "false", class: "code", "aria-label": t("group.code"), maxlength: "4096" });
  const picture = h("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => {
    const found = await read(picture.files[0]);
    if (found) code.value = ticketIn(found);
    else note(t("qr.nothing"), "bad");
  } });
  const readable = "BarcodeDetector" in globalThis;
  task({
    title: t("group.join"), label: t("join"),
    body: [h("p", null, t("group.join.hint")), h("label", null, t("group.code"), code), picture,
      readable && h("button", { type: "button", class: "quiet", onclick: () => picture.click() }, t("qr.picture"))],
    work: async () => {
      const { groupID } = await app.api.post("/client/v1/groups/join", { ticket: ticketIn(code.value) });
      note(t("group.joined"));
      await app.model.reloadGroups();
      app.chat.show(keyOf("group", groupID));
    },
  });
}

export const joinByCode = (app) => join(app, "");

async function read(file) {
  try {
    const found = await new BarcodeDetector({ formats: ["qr_code"] }).detect(await createImageBitmap(file));
    return found[0]?.rawValue;
  } catch {
    return undefined;
  }
}

/** A group that search found: asks to be let in. */
export function applyTo(app, info) {
  const remark = h("textarea", { rows: "2", maxlength: "500" });
  task({
    title: t("group.apply"), label: t("group.apply.go"),
    body: [h("div", { class: "who" }, avatar(app, { id: info.groupID, name: info.groupName, group: true, size: "large" }), h("h3", null, name(info.groupName)), h("p", null, t("members", { n: info.groupMemberNum }))),
      h("label", null, t("group.apply.remark"), remark)],
    work: async () => {
      await app.api.post(pathOf(info.groupID, "/apply"), { remark: remark.value.trim() || null });
      note(t("group.apply.sent"));
      await app.model.reloadGroups();
    },
  });
}

/** The QR code that lets people in. */
export async function qr(app, groupID) {
  const title = app.model.groups.get(groupID).groupInfo.groupName;
  const canvas = h("canvas", { class: "qr", role: "img", "aria-label": t("qr.of", { name: title }) });
  const until = h("p", { class: "hint" }, t("search.busy"));
  const link = h("input", { type: "text", readonly: true, class: "code", "aria-label": t("qr.link"), onfocus: () => link.select() });
  const copy = h("button", { type: "button", class: "quiet", onclick: () => navigator.clipboard.writeText(link.value).then(() => note(t("copied")), () => link.select()) }, t("copy"));
  const withdraw = h("button", { type: "button", class: "danger-text quiet" }, t("qr.withdraw"));
  const asked = dialog({
    title: t("qr.title"), kind: "small",
    body: h("div", { class: "qr-body" }, h("h3", null, name(title)), canvas, until, h("div", { class: "line" }, link, copy)),
    actions: [withdraw],
  });
  withdraw.addEventListener("click", act(withdraw, async () => {
    await app.api.delete(pathOf(groupID, "/ticket"));
    note(t("qr.withdrawn"));
    asked.close();
  }, refusal));
  try {
    const { ticket, expiresMs } = await app.api.post(pathOf(groupID, "/ticket"));
    link.value = `${location.origin}/#join=${segment(ticket)}`;
    draw(canvas, link.value);
    fill(until, t("qr.until", { time: moment(expiresMs) }));
  } catch (error) {
    fill(until, refusal(error));
  }
}
