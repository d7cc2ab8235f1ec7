// A face for everybody: the portrait, or initials on a colour of one's own.

import { h } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";

const COLOURS = 8;

export function avatar(app, { id, name, portrait, from, group = false, size = "" }) {
  const element = h("span", { class: ["avatar", `tint-${tint(id)}`, size, group && "of-group"], "aria-hidden": "true" }, initials(name, group));
  if (portrait) {
    app.files.picture(portrait, from).then(({ url }) => element.replaceChildren(h("img", { src: url, alt: "" })), () => undefined);
  }
  return element;
}

export function faceOf(app, userID, size) {
  const person = app.model.person(userID);
  const own = userID === app.model.me.userID;
  return avatar(app, { id: userID, name: person.name, portrait: person.portrait, from: own ? undefined : userID, size });
}

export function faceOfChat(app, chat, size) {
  if (chat.scene === "user") return faceOf(app, chat.id, size);
  const info = app.model.groups.get(chat.id)?.groupInfo;
  return avatar(app, { id: chat.id, name: app.model.title(chat), portrait: info?.groupIcon, group: true, size });
}

export function faceSign(app, chat) {
  const portrait = chat.scene === "user" ? app.model.people.get(chat.id)?.portrait : app.model.groups.get(chat.id)?.groupInfo?.groupIcon;
  return `${app.model.title(chat)}${portrait ?? ""}`;
}

function initials(name, group) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return group ? icon("group") : icon("people");
  const first = [...words[0]][0];
  // One character says enough in scripts whose words are short.
  if (/\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}/u.test(first)) return first;
  return (first + (words.length > 1 ? [...words.at(-1)][0] : "")).toUpperCase();
}

function tint(id) {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return sum % COLOURS;
}
