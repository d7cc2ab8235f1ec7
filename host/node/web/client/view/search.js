// Search: what one has, then people and groups of this server, then of all servers.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { t } from "../../shared/words.js";
import { act } from "../../shared/dialog.js";
import { keyOf } from "../model.js";
import { segment } from "../../shared/call.js";
import { avatar, faceOf, faceOfChat } from "./avatar.js";
import { roving } from "./chats.js";
import { applyTo } from "./groups.js";
import { refusal } from "./say.js";

const PAUSE_MS = 300;

export class Search {
  #query = "";
  #turn = 0;

  constructor(app) {
    this.app = app;
    this.own = h("div");
    this.others = h("div", { "aria-live": "polite" });
    this.element = h("div", { class: "found", onkeydown: (event) => roving(event, this.element) }, this.own, this.others);
  }

  render(query) {
    this.element.hidden = !query;
    if (query === this.#query) return;
    this.#query = query;
    this.#turn += 1;
    clearTimeout(this.timer);
    if (!query) return;
    this.#here(query);
    fill(this.others, this.#busy());
    this.timer = setTimeout(() => this.#ask("local"), PAUSE_MS);
  }

  #busy() {
    return h("p", { class: "hint" }, h("span", { class: "spinner small" }), t("search.busy"));
  }

  #here(query) {
    const { app } = this;
    const wanted = query.replaceAll('"', "").toLocaleLowerCase();
    const fits = (...texts) => texts.some((text) => text?.toLocaleLowerCase().includes(wanted));
    const chats = app.model.recent.map(({ chat }) => chat).filter((chat) => fits(app.model.title(chat), chat.id));
    const shown = new Set(chats.map((chat) => chat.id));
    const contacts = [...app.model.contacts.values()].map((link) => link.userInfo).filter((info) => !shown.has(info.userID) && fits(info.name, info.userID));
    const row = (chat) => this.#row(faceOfChat(app, chat), app.model.title(chat), chat.scene === "group" ? t("group") : chat.id, () => app.chat.show(chat.key));
    fill(this.own, chats.length + contacts.length > 0 && [h("h3", { class: "list-title" }, t("search.own")),
      h("ul", { class: "list" }, chats.map(row), contacts.map((info) => this.#row(faceOf(app, info.userID), info.name, info.userID, () => app.chat.show(keyOf("user", info.userID)))))]);
  }

  /** Asks all servers, by way of the platform. */
  everywhere() {
    clearTimeout(this.timer);
    fill(this.others, this.#busy());
    this.#ask("all");
  }

  async #ask(scope) {
    const { app } = this;
    this.#turn += 1;
    const turn = this.#turn;
    const query = segment(this.#query);
    try {
      const [users, groups] = await Promise.all([
        app.api.get(`/client/v1/users/search?query=${query}&scope=${scope}`),
        app.api.get(`/client/v1/groups/search?query=${query}`).catch(() => ({ groups: [] })),
      ]);
      if (turn === this.#turn) this.#show(scope, users, groups);
    } catch (error) {
      if (turn === this.#turn) fill(this.others, h("p", { class: "hint wrong" }, refusal(error)));
    }
  }

  #show(scope, { userInfos, pages, page, note }, { groups }) {
    const { app } = this;
    userInfos.forEach((info) => app.model.know(info));
    const others = userInfos.filter((info) => info.userID !== app.model.me.userID);
    const more = h("button", { type: "button", class: "quiet wide row-like" }, icon("search"), t("search.everywhere"));
    more.addEventListener("click", act(more, () => this.#ask("all"), refusal));
    const strangers = groups.filter((info) => !app.model.groups.has(info.groupID) || app.model.groups.get(info.groupID).gone);
    fill(this.others,
      h("h3", { class: "list-title" }, t(scope === "all" ? "search.all" : "search.local")),
      others.length === 0 && h("p", { class: "hint" }, t("search.nobody")),
      h("ul", { class: "list" }, others.map((info) => this.#row(faceOf(app, info.userID), info.name, info.userID, () => app.details.person(info.userID)))),
      (pages ?? 0) > (page ?? 0) + 1 && h("p", { class: "hint" }, t("search.more")),
      note && h("p", { class: "hint" }, t("search.partly")),
      scope === "local" && more,
      strangers.length > 0 && [h("h3", { class: "list-title" }, t("groups")),
        h("ul", { class: "list" }, strangers.map((info) => this.#row(
          avatar(app, { id: info.groupID, name: info.groupName, group: true }), info.groupName,
          t("members", { n: info.groupMemberNum }), () => applyTo(app, info))))]);
  }

  #row(face, title, text, open) {
    return h("li", null, h("button", { type: "button", class: "row", onclick: open }, face,
      h("span", { class: "row-main" }, name(title, { class: "row-title" }), h("span", { class: "row-bottom" }, name(text, { class: "row-text" })))));
  }
}
