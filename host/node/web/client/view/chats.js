// The left side: who one is, search, chats and people.

import { fill, h, name, rows } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { short, t } from "../../shared/words.js";
import { menu } from "../../shared/dialog.js";
import { faceOf, faceOfChat, faceSign } from "./avatar.js";
import { plain } from "./message.js";
import { create, joinByCode } from "./groups.js";
import { help } from "./keys.js";
import { People } from "./people.js";
import { Search } from "./search.js";
import { settings } from "./settings.js";

export class Chats {
  tab = "chats";

  constructor(app) {
    this.app = app;
    this.people = new People(app);
    this.found = new Search(app);
    this.field = h("input", {
      type: "search", class: "search", placeholder: t("search.place"), "aria-label": t("search.place"), autocomplete: "off", spellcheck: "false",
      maxlength: "128", oninput: () => this.render(), onkeydown: (event) => this.#key(event),
    });
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": t("lists") }, this.#tab("chats", "chat"), this.#tab("people", "people"));
    this.list = h("ul", { class: "list", "aria-label": t("chats"), onkeydown: (event) => roving(event, this.list) });
    this.empty = h("div", { class: "empty" });
    this.state = h("button", { type: "button", class: "connection", hidden: true, onclick: () => app.link.hurry() });
    this.panel = h("div", { class: "panel", role: "tabpanel", id: "panel" }, this.list, this.empty, this.people.element, this.found.element);
    this.me = h("button", { type: "button", class: "me plain", "aria-haspopup": "menu", title: t("menu"), onclick: (event) => this.#menu(event) });
    const add = h("button", { type: "button", class: "plain round", "aria-label": t("new"), title: t("new"), "aria-haspopup": "menu", onclick: (event) => this.#new(event) }, icon("add"));
    this.element = h("nav", { class: "side", "aria-label": t("chats") },
      h("header", { class: "side-head" }, this.me, add),
      h("div", { class: "search-box", role: "search" }, icon("search"), this.field, h("kbd", { "aria-hidden": "true" }, "/")),
      this.state, this.tabs, this.panel);
  }

  #tab(id, drawing) {
    return h("button", {
      type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "panel", onclick: () => this.choose(id),
      onkeydown: (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        this.choose(this.tab === "chats" ? "people" : "chats");
        document.querySelector(`#tab-${this.tab}`).focus();
      },
    }, icon(drawing), h("span", null, t(id)), h("span", { class: "badge", hidden: true }));
  }

  choose(tab) {
    this.tab = tab;
    this.field.value = "";
    this.render();
  }

  get searching() {
    return this.field.value.trim() !== "" || document.activeElement === this.field;
  }

  search() {
    this.field.focus();
    this.field.select();
  }

  clear() {
    this.field.value = "";
    this.field.blur();
    this.render();
  }

  #key(event) {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      [...this.panel.querySelectorAll("button.row")].find((row) => row.checkVisibility())?.focus();
    } else if (event.key === "Enter" && this.field.value.trim()) {
      this.found.everywhere();
    }
  }

  render() {
    const { app } = this;
    const query = this.field.value.trim();
    const { model } = app;
    const face = `${model.me.name} ${model.profile?.userInfo.portrait}`;
    if (this.faced !== face) {
      this.faced = face;
      fill(this.me, faceOf(app, model.me.userID), h("span", { class: "me-name" }, name(model.me.name), h("small", null, name(model.me.userID))));
    }
    this.#connection();
    this.#badges();
    const recent = query ? [] : model.recent;
    this.list.hidden = Boolean(query) || this.tab !== "chats" || recent.length === 0;
    this.empty.hidden = Boolean(query) || this.tab !== "chats" || recent.length > 0;
    if (!this.empty.hidden && !this.empty.firstChild) this.#welcome();
    rows(this.list, recent.map(({ chat, at }) => this.#row(chat, at)));
    this.people.render(!query && this.tab === "people");
    this.found.render(query);
  }

  #welcome() {
    fill(this.empty, icon("chat"), h("h3", null, t("chats.none")), h("p", null, t("chats.none.hint")),
      h("button", { type: "button", class: "primary", onclick: () => this.search() }, t("people.find")));
  }

  #connection() {
    const { state } = this.app.link;
    const off = state !== "open";
    clearTimeout(this.later);
    // A short break is nobody's business.
    if (off && this.state.hidden) this.later = setTimeout(() => this.#say(), 800);
    else this.#say();
  }

  #say() {
    const { link } = this.app;
    if (!link) return;
    this.state.hidden = link.state === "open";
    const words = navigator.onLine === false ? t("link.offline") : link.state === "connecting" ? t("link.connecting") : t("link.waiting");
    if (this.state.textContent !== words) fill(this.state, h("span", { class: "spinner small" }), words);
  }

  #badges() {
    const { model } = this.app;
    const asks = [...model.requests.values()].filter((link) => link.stand === "asks").length;
    const invitations = model.pending.filter((one) => one.kind === "invitation").length;
    for (const [id, count] of [["chats", model.unreadTotal], ["people", asks + invitations]]) {
      const tab = this.tabs.querySelector(`#tab-${id}`);
      tab.setAttribute("aria-selected", String(this.tab === id));
      tab.tabIndex = this.tab === id ? 0 : -1;
      const badge = tab.querySelector(".badge");
      badge.hidden = count === 0;
      badge.textContent = count > 99 ? "99+" : String(count);
      badge.title = t(id === "chats" ? "unread" : "open", { n: count });
    }
  }

  #row(chat, at) {
    const { app } = this;
    const { model } = app;
    const unread = model.unread(chat);
    const current = app.chat?.open === chat;
    const draft = current ? "" : (app.drafts[chat.key] ?? "");
    const waiting = model.waitingFor(chat.key);
    const last = model.lastOf(chat);
    const text = draft || (last ? plain(app, chat, last) : t("group.fresh"));
    const sign = [faceSign(app, chat), unread, current, text, short(at), Boolean(draft), waiting.map((one) => one.state)].join("\n");
    return { key: chat.key, sign, make: () => this.#chat(chat, { at, unread, current, draft, text, refused: waiting.some((one) => one.state === "refused") }) };
  }

  #chat(chat, { at, unread, current, draft, text, refused }) {
    const { app } = this;
    const title = app.model.title(chat);
    return h("li", null, h("button", {
      type: "button", class: ["row", unread > 0 && "unread"], "aria-current": current ? "true" : null, tabindex: current ? "0" : "-1",
      onclick: () => app.chat.show(chat.key),
    },
      faceOfChat(app, chat),
      h("span", { class: "row-main" },
        h("span", { class: "row-top" }, name(title, { class: "row-title" }), at > 0 && h("time", null, short(at))),
        h("span", { class: "row-bottom" },
          h("span", { class: "row-text" }, draft && h("em", { class: "draft" }, t("draft")), name(text)),
          refused && h("span", { class: "failed", title: t("state.refused") }, icon("refused"), h("span", { class: "unseen" }, t("state.refused"))),
          unread > 0 && h("span", { class: "badge" }, unread > 99 ? "99+" : unread, h("span", { class: "unseen" }, t("unread", { n: unread })))))));
  }

  /** The next chat, or the one before. */
  step(by) {
    const { app } = this;
    const keys = app.model.recent.map(({ chat }) => chat.key);
    const now = keys.indexOf(app.chat.open?.key);
    const to = keys[Math.max(0, Math.min(keys.length - 1, now < 0 ? 0 : now + by))];
    if (to) app.chat.show(to);
  }

  #menu({ currentTarget }) {
    const { app } = this;
    menu(currentTarget, [
      { label: t("settings"), icon: "settings", act: () => settings(app) },
      { label: t("keys.title"), icon: "info", act: () => help() },
      { label: t("logout"), icon: "leave", act: () => app.logOut(false).catch(() => app.api.forget().then(() => app.leave())) },
    ], { at: { ...plainRect(currentTarget), left: currentTarget.getBoundingClientRect().left } });
  }

  #new({ currentTarget }) {
    const { app } = this;
    menu(currentTarget, [
      { label: t("people.find"), icon: "search", act: () => this.search() },
      { label: t("group.new"), icon: "group", act: () => create(app) },
      { label: t("group.join"), icon: "join", act: () => joinByCode(app) },
    ]);
  }
}

const plainRect = (element) => {
  const { top, bottom, right } = element.getBoundingClientRect();
  return { top, bottom, right };
};

/** Up and down between the rows of a list; one of them is reached by Tab. */
export function roving(event, list) {
  const buttons = [...list.querySelectorAll("button.row")];
  const now = buttons.indexOf(document.activeElement.closest("button.row"));
  const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || event.altKey) return;
  event.preventDefault();
  buttons[Math.max(0, Math.min(buttons.length - 1, to))]?.focus();
}
