// Contacts, and what waits for an answer.

import { fill, h, name, rows } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { t } from "../../shared/words.js";
import { act, note } from "../../shared/dialog.js";
import { keyOf } from "../model.js";
import { segment } from "../../shared/call.js";
import { avatar, faceOf } from "./avatar.js";
import { roving } from "./chats.js";
import { refusal } from "./say.js";

export class People {
  constructor(app) {
    this.app = app;
    this.open = h("ul", { class: "list requests", "aria-label": t("people.open") });
    this.title = h("h3", { class: "list-title" });
    this.list = h("ul", { class: "list", "aria-label": t("people"), onkeydown: (event) => roving(event, this.list) });
    this.empty = h("div", { class: "empty" }, icon("people"), h("h3", null, t("people.none")), h("p", null, t("people.none.hint")),
      h("button", { type: "button", class: "primary", onclick: () => app.chats.search() }, t("people.find")));
    this.element = h("div", { class: "people" }, this.open, this.title, this.list, this.empty);
  }

  render(shown) {
    this.element.hidden = !shown;
    if (!shown) return;
    const { model } = this.app;
    const requests = [...model.requests.values()].map((link) => this.#request(link));
    rows(this.open, [...model.pending.map((one) => this.#pending(one)), ...requests]);
    const contacts = [...model.contacts.values()].sort((a, b) => a.userInfo.name.localeCompare(b.userInfo.name));
    this.open.hidden = requests.length + model.pending.length === 0;
    this.title.hidden = contacts.length === 0;
    fill(this.title, t("people.count", { n: contacts.length }));
    this.empty.hidden = contacts.length > 0 || !this.open.hidden;
    rows(this.list, contacts.map(({ userInfo }) => ({
      key: userInfo.userID, sign: `${userInfo.name}${userInfo.portrait}${userInfo.remark}`, make: () => this.#contact(userInfo),
    })));
  }

  #contact({ userID, name: known, remark }) {
    const { app } = this;
    return h("li", null, h("button", { type: "button", class: "row", onclick: () => app.chat.show(keyOf("user", userID)) },
      faceOf(app, userID),
      h("span", { class: "row-main" }, name(known, { class: "row-title" }), h("span", { class: "row-bottom" }, name(remark || userID, { class: "row-text" })))));
  }

  #request({ userInfo, stand, remark }) {
    const { app } = this;
    const { userID } = userInfo;
    const make = () => {
      const answer = (agree, label, kind) => {
        const button = h("button", { type: "button", class: [kind, "short"] }, label);
        button.addEventListener("click", act(button, () => answerFriend(app, userID, agree), refusal));
        return button;
      };
      const back = h("button", { type: "button", class: "quiet short" }, t("friend.withdraw"));
      back.addEventListener("click", act(back, () => endFriend(app, userID), refusal));
      return h("li", { class: "request" }, faceOf(app, userID),
        h("div", { class: "row-main" },
          h("button", { type: "button", class: "link row-title", onclick: () => app.details.person(userID) }, name(userInfo.name)),
          h("p", { class: "row-text" }, stand === "asks" ? t("friend.asks") : t("friend.asked")),
          remark && h("blockquote", null, name(remark)),
          h("div", { class: "buttons" }, stand === "asks" ? [answer(true, t("accept"), "primary"), answer(false, t("decline"), "quiet")] : back)));
    };
    return { key: `f:${userID}`, sign: `${stand}${userInfo.name}${remark}`, make };
  }

  #pending({ kind, groupID, groupInfo, user }) {
    const { app } = this;
    const make = () => {
      const title = groupInfo?.groupName ?? groupID;
      const answer = (agree, label, style) => {
        const button = h("button", { type: "button", class: [style, "short"] }, label);
        button.addEventListener("click", act(button, async () => {
          await app.api.post(`/client/v1/groups/${segment(groupID)}/answer`, { agree });
          await app.model.reloadGroups();
          if (agree) app.chat.show(keyOf("group", groupID));
        }, refusal));
        return button;
      };
      return h("li", { class: "request" }, avatar(app, { id: groupID, name: title, group: true }),
        h("div", { class: "row-main" }, name(title, { class: "row-title" }),
          h("p", { class: "row-text" }, kind === "invitation" ? t("group.invited", { name: user?.name ?? "" }) : t("group.applied")),
          kind === "invitation" && h("div", { class: "buttons" }, answer(true, t("join"), "primary"), answer(false, t("decline"), "quiet"))));
    };
    return { key: `g:${kind}:${groupID}`, sign: `${groupInfo?.groupName}${user?.name}`, make };
  }
}

export async function answerFriend(app, userID, agree) {
  await app.api.post(`/client/v1/friends/${segment(userID)}/answer`, { agree });
  await app.model.reloadPeople();
  if (agree) app.chat.show(keyOf("user", userID));
}

export async function endFriend(app, userID) {
  await app.api.delete(`/client/v1/friends/${segment(userID)}`);
  await app.model.reloadPeople();
}

export async function askFriend(app, userID, remark) {
  const { stand } = await app.api.post("/client/v1/friends", { userID, remark });
  await app.model.reloadPeople();
  note(t(stand === "friends" ? "friend.now" : "friend.sent", { name: app.model.nameOf(userID) }));
}
