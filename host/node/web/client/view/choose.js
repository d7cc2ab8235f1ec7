// Choosing a chat, or people.

import { fill, h, name } from "../../shared/dom.js";
import { t } from "../../shared/words.js";
import { dialog } from "../../shared/dialog.js";
import { keyOf } from "../model.js";
import { faceOf, faceOfChat } from "./avatar.js";

/** A chat, or nothing. */
export function choose(app, { title }) {
  const contacts = [...app.model.contacts.keys()].filter((id) => !app.model.chats.has(keyOf("user", id)));
  const chats = [...app.model.recent.map(({ chat }) => chat), ...contacts.map((id) => app.model.chat("user", id))];
  const list = h("ul", { class: "list" });
  const field = h("input", { type: "search", placeholder: t("search.filter"), "aria-label": t("search.filter"), autofocus: true, oninput: () => show() });
  const asked = dialog({ title, body: [field, list] });
  const show = () => fill(list, chats.filter((chat) => fits(field.value, app.model.title(chat), chat.id)).map((chat) =>
    h("li", null, h("button", { type: "button", class: "row", onclick: () => asked.close(chat) }, faceOfChat(app, chat, "small"), h("span", { class: "row-main" }, name(app.model.title(chat), { class: "row-title" }))))));
  show();
  return asked.closed;
}

/** Ticks for contacts, and a field for the IDs of others. `chosen()` answers userIDs. */
export function ticks(app, { without = [] } = {}) {
  const contacts = [...app.model.contacts.values()].map((link) => link.userInfo).filter((info) => !without.includes(info.userID)).sort((a, b) => a.name.localeCompare(b.name));
  const boxes = new Map(contacts.map((info) => [info.userID, h("input", { type: "checkbox" })]));
  const more = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: t("choose.ids.place"), "aria-label": t("choose.ids"), maxlength: "2048" });
  const list = h("ul", { class: "list ticks" }, contacts.map((info) => h("li", null,
    h("label", { class: "row" }, boxes.get(info.userID), faceOf(app, info.userID, "small"), h("span", { class: "row-main" }, name(info.name, { class: "row-title" }), h("span", { class: "row-bottom" }, name(info.userID, { class: "row-text" })))))));
  const element = h("div", { class: "choose" }, contacts.length > 0 ? list : h("p", { class: "hint" }, t("choose.nobody")), h("label", null, t("choose.ids"), more));
  const chosen = () => [
    ...contacts.map((info) => info.userID).filter((id) => boxes.get(id).checked),
    ...more.value.split(/[\s,;，；]+/).filter(Boolean),
  ];
  return { element, chosen };
}

const fits = (query, ...texts) => texts.some((text) => text.toLocaleLowerCase().includes(query.trim().toLocaleLowerCase()));
