// The open conversation: its head, the flow of its messages, and where one writes.

import { fill, h, name, rows } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { day, dayOf, t } from "../../shared/words.js";
import { faceOfChat, faceSign } from "./avatar.js";
import { Composer } from "./composer.js";
import { messageRow, notice, options, recall, rowKey } from "./message.js";

const SHOWN = 80;
/** Messages of one person within this go together. */
const TOGETHER_MS = 5 * 60_000;
const NEAR = 60;

/** What is under way comes last; what was refused stays where it was written. */
function withWaiting(items, waiting) {
  const refused = waiting.filter((one) => one.state === "refused");
  const under = waiting.filter((one) => one.state !== "refused");
  if (refused.length === 0) return [...items, ...under];
  const all = [];
  for (const item of items) {
    while (refused.length > 0 && refused[0].at < item.at) all.push(refused.shift());
    all.push(item);
  }
  return [...all, ...refused, ...under];
}

export class Chat {
  open = undefined;
  limit = SHOWN;
  pinned = true;

  constructor(app) {
    this.app = app;
    this.composer = new Composer(app, () => this.open);
    this.head = h("header", { class: "chat-head" });
    this.days = h("div", { class: "days", role: "log", "aria-live": "polite", "aria-label": t("messages"), onkeydown: (event) => this.#key(event) });
    this.flow = h("div", { class: "flow", tabindex: "-1", onscroll: () => this.#scrolled() }, h("div", { class: "flow-space" }), this.days);
    this.count = h("span", { class: "badge" });
    this.jump = h("button", { type: "button", class: "jump", hidden: true, "aria-label": t("jump"), title: t("jump"), onclick: () => this.#down(true) }, icon("down"), this.count);
    this.inside = h("div", { class: "chat-inside" }, this.head, h("div", { class: "flow-box" }, this.flow, this.jump), this.composer.element);
    this.nothing = h("div", { class: "nothing" }, h("img", { src: "/web/shared/icon.svg", alt: "", width: "72", height: "72" }), h("h2", null, t("nothing.title")), h("p", null, t("nothing.hint")));
    this.element = h("main", { class: "chat", id: "chat" }, this.nothing, this.inside);
    this.#drops();
    new ResizeObserver(() => this.pinned && this.#down()).observe(this.days);
    new ResizeObserver(() => this.pinned && this.#down()).observe(this.flow);
    addEventListener("focus", () => this.#read());
    document.addEventListener("visibilitychange", () => this.#read());
  }

  /** Opens a chat by its key, or none. */
  show(key, { back = false } = {}) {
    const { app } = this;
    const [scene, id] = key ? [key.startsWith("g:") ? "group" : "user", key.slice(2)] : [];
    const chat = key ? app.model.chat(scene, id) : undefined;
    if (this.open) this.composer.keep();
    if (!back && history.state?.chat !== key) {
      if (key && !history.state?.chat) history.pushState({ chat: key }, "", "/");
      else history.replaceState({ chat: key }, "", "/");
    }
    if (chat && app.chats) app.chats.field.value = "";
    this.open = chat;
    this.limit = SHOWN;
    this.pinned = true;
    this.days.replaceChildren();
    this.mark = chat ? (app.model.marks[chat.key] ?? 0) : 0;
    this.divided = chat && app.model.unread(chat) > 0;
    app.frame?.classList.toggle("in-chat", Boolean(chat));
    app.details.follow();
    app.render();
    if (!chat) return;
    this.composer.take();
    const divider = this.days.querySelector(".new-line");
    if (divider) {
      this.pinned = false;
      this.flow.scrollTop = divider.offsetTop - this.flow.clientHeight / 3;
      this.#scrolled();
    } else this.#down();
    this.#read();
    this.#enough();
  }

  render() {
    const { open } = this;
    this.inside.hidden = !open;
    this.nothing.hidden = Boolean(open);
    if (!open) return;
    this.#renderHead();
    const anchor = this.pinned ? undefined : this.#anchor();
    rows(this.days, this.#days());
    if (this.pinned) this.#down();
    else if (anchor?.element.isConnected) this.flow.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    this.composer.render();
    this.#read();
    this.#below();
  }

  #renderHead() {
    const { app, open } = this;
    const group = app.model.groups.get(open.id);
    const under = open.scene === "user" ? open.id : group?.gone ? t("group.gone") : t("members", { n: group?.groupInfo.groupMemberNum ?? 0 });
    const sign = `${open.key}${faceSign(app, open)}${under}${Boolean(app.details.shown)}`;
    if (this.signed === sign) return;
    this.signed = sign;
    fill(this.head,
      h("button", { type: "button", class: "plain round only-narrow", "aria-label": t("back"), title: t("back"), onclick: () => (history.state?.chat ? history.back() : this.show(undefined)) }, icon("back")),
      h("button", { type: "button", class: "plain title", "aria-expanded": String(Boolean(app.details.shown)), onclick: () => app.details.toggle() },
        faceOfChat(app, open),
        h("span", { class: "title-words" }, h("h2", null, name(app.model.title(open))), h("small", null, name(under)))),
      h("button", { type: "button", class: "plain round", "aria-label": t("details"), title: t("details"), "aria-expanded": String(Boolean(app.details.shown)), onclick: () => app.details.toggle() }, icon("info")));
  }

  /** The flow, day by day. */
  #days() {
    const { app, open } = this;
    const items = open.items.slice(-this.limit);
    const all = withWaiting(items, app.model.waitingFor(open.key));
    const days = [];
    let before;
    let divided = false;
    for (const item of all) {
      const number = dayOf(item.at);
      if (days.at(-1)?.number !== number) {
        days.push({ number, at: item.at, rows: [] });
        before = undefined;
      }
      const list = days.at(-1).rows;
      if (this.divided && !divided && item.cursor > this.mark && item.type === "message" && !item.mine) {
        divided = true;
        before = undefined;
        list.push({ key: "new", sign: "", make: () => h("p", { class: "new-line" }, h("span", null, t("new.line"))) });
      }
      list.push(this.#row(item, before));
      before = item.type === "notice" ? undefined : item;
    }
    const start = app.model.complete && items.length === open.items.length;
    const title = (number, at) => h("h3", { class: "day" }, h("span", null, day(at)));
    const sections = days.map(({ number, at, rows: list }) => ({
      key: number, sign: day(at),
      make: () => {
        const inner = h("div");
        const section = h("section", { class: "day-part" }, title(number, at), inner);
        rows(inner, list);
        return section;
      },
      update: (section) => rows(section.lastElementChild, list),
    }));
    if (start && all.length === 0) sections.unshift({ key: "empty", sign: "", make: () => h("div", { class: "empty" }, icon("chat"), h("p", null, t("chat.empty"))) });
    return sections;
  }

  #row(item, before) {
    const { app, open } = this;
    if (item.type === "notice") {
      const text = notice(app, open, item);
      return { key: item.id, sign: text, make: () => h("p", { class: "notice" }, h("span", null, text)) };
    }
    const sender = (one) => (one.mine ?? true ? "" : one.from);
    const grouped = Boolean(before) && sender(before) === sender(item) && item.at - before.at < TOGETHER_MS && !before.recalled;
    return messageRow(app, open, item, { grouped });
  }

  #anchor() {
    const top = this.flow.getBoundingClientRect().top;
    for (const element of this.days.querySelectorAll(".message, .notice")) {
      const box = element.getBoundingClientRect();
      if (box.bottom > top) return { element, top: box.top };
    }
    return undefined;
  }

  #scrolled() {
    const { flow } = this;
    this.pinned = flow.scrollHeight - flow.scrollTop - flow.clientHeight < NEAR;
    this.#read();
    this.#below();
    if (flow.scrollTop < 400) this.#more();
  }

  #below() {
    this.jump.hidden = this.pinned;
    const count = this.open ? this.app.model.unread(this.open) : 0;
    this.count.hidden = count === 0;
    this.count.textContent = String(count);
  }

  #down(smooth = false) {
    this.pinned = true;
    this.flow.scrollTo({ top: this.flow.scrollHeight, behavior: smooth && !matchMedia("(prefers-reduced-motion: reduce)").matches ? "smooth" : "instant" });
  }

  async #more() {
    const { app, open } = this;
    if (this.loading || !open) return;
    this.loading = true;
    try {
      if (this.limit < open.items.length) this.limit += SHOWN;
      else if (!app.model.complete) {
        const had = open.items.length;
        while (open.items.length === had && (await app.model.loadOlder()) && this.open === open);
        this.limit += SHOWN;
      } else return;
      app.model.changed();
      // One picture's time, so that the rows are there before the next look.
      await new Promise((resolve) => setTimeout(resolve, 50));
    } catch {
      // The next scroll tries again.
    } finally {
      this.loading = false;
    }
  }

  /** A chat that does not fill the page looks further back. */
  async #enough() {
    const { open, app } = this;
    for (let pages = 0; pages < 4 && this.open === open && !app.model.complete && open.items.length < 30; pages += 1) {
      const more = await app.model.loadOlder().catch(() => false);
      if (!more) return;
    }
  }

  #read() {
    if (this.open && this.pinned && document.visibilityState === "visible" && document.hasFocus()) this.app.model.read(this.open);
  }

  /** Among the messages: up, down, what can be done. */
  #key(event) {
    const message = event.target.closest(".message");
    if (!message || event.target.closest("button, a, input")) return;
    const all = [...this.days.querySelectorAll(".message")];
    const now = all.indexOf(message);
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      const next = all[now + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) next.focus();
      else if (event.key === "ArrowDown") this.composer.focus();
    } else if (event.key === "Enter" || event.key === " " || event.key === "ContextMenu") {
      event.preventDefault();
      const item = this.#itemOf(message);
      if (item && !item.recalled) options(this.app, this.open, item, message);
    } else if (event.key === "Delete") {
      const item = this.#itemOf(message);
      if (item) recall(this.app, this.open, item);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.composer.focus();
    }
  }

  #itemOf(message) {
    return [...this.open.items, ...this.app.model.unsent.values()].find((item) => rowKey(item) === message.rowKey);
  }

  /** The last message, from where one writes. */
  focusLast() {
    const last = [...this.days.querySelectorAll(".message")].at(-1);
    last?.focus();
    return Boolean(last);
  }

  #drops() {
    let inside = 0;
    const files = (event) => event.dataTransfer?.types.includes("Files") && this.open;
    this.element.addEventListener("dragenter", (event) => {
      if (!files(event)) return;
      inside += 1;
      this.element.classList.add("dropping");
      this.element.dataset.drop = t("drop");
    });
    this.element.addEventListener("dragleave", () => {
      inside = Math.max(0, inside - 1);
      if (inside === 0) this.element.classList.remove("dropping");
    });
    this.element.addEventListener("drop", (event) => {
      inside = 0;
      this.element.classList.remove("dropping");
      if (!files(event)) return;
      event.preventDefault();
      this.composer.offer([...event.dataTransfer.files]);
    });
  }
}
