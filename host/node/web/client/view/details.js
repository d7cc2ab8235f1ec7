// The right side: who somebody is, what a group is and who is in it.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { t } from "../../shared/words.js";
import { act, dialog, menu, note, sure } from "../../shared/dialog.js";
import { keyOf } from "../model.js";
import { pictureType, square } from "../files.js";
import { avatar, faceOf } from "./avatar.js";
import { invite, pathOf, qr } from "./groups.js";
import { answerFriend, askFriend, endFriend } from "./people.js";
import { refusal } from "./say.js";

export class Details {
  shown = undefined;

  constructor(app) {
    this.app = app;
    this.body = h("div", { class: "details-body" });
    this.title = h("h2", null);
    this.element = h("aside", { class: "details", hidden: true, "aria-label": t("details") },
      h("header", { class: "details-head" }, this.title, h("button", { type: "button", class: "plain round", "aria-label": t("close"), title: t("close"), onclick: () => this.hide() }, icon("close"))),
      this.body);
  }

  toggle() {
    const { open } = this.app.chat;
    if (this.shown || !open) return this.hide();
    return open.scene === "user" ? this.person(open.id) : this.group(open.id);
  }

  person(id) {
    this.#show({ scene: "user", id });
    this.app.api.get(`/client/v1/users/${encodeURIComponent(id)}`).then(({ userInfo }) => {
      this.app.model.know(userInfo);
      this.app.model.changed();
    }, () => undefined);
  }

  group(id) {
    this.#show({ scene: "group", id });
    this.app.model.reloadMembers(id).catch(() => undefined);
    this.#applicants(id);
  }

  #show(what) {
    this.shown = what;
    this.applicants = [];
    this.sign = undefined;
    this.element.hidden = false;
    this.app.frame.classList.add("with-details");
    this.app.render();
    this.element.querySelector("button").focus({ preventScroll: true });
  }

  hide() {
    const focused = this.element.contains(document.activeElement);
    this.shown = undefined;
    this.element.hidden = true;
    this.app.frame.classList.remove("with-details");
    this.app.render();
    if (focused && this.app.chat.open) this.app.chat.composer.focus();
  }

  /** Another chat was opened: stays open if there is room for it, and shows that one. */
  follow() {
    if (!this.shown) return;
    const { open } = this.app.chat;
    if (!open || matchMedia("(max-width: 1100px)").matches) this.hide();
    else this.#show({ scene: open.scene, id: open.id });
  }

  async #applicants(id) {
    const { model, api } = this.app;
    const group = model.groups.get(id);
    if ((group?.userType ?? 0) < 2 || group.server) return;
    try {
      this.applicants = (await api.get(pathOf(id, "/applicants"))).applicants;
      this.applicants.forEach((one) => model.know(one.user));
      this.sign = undefined;
      this.render();
    } catch {
      // Whoever may not see them sees none.
    }
  }

  render() {
    if (!this.shown) return;
    const { model } = this.app;
    const { scene, id } = this.shown;
    const of = scene === "user"
      ? [model.people.get(id), model.stand(id), model.requests.get(id)]
      : [model.groups.get(id), model.members.get(id), this.applicants, model.me.name];
    const sign = JSON.stringify([scene, id, of, this.app.chat.open?.key]);
    if (this.sign === sign) return;
    if (scene === "group" && !model.members.has(id)) model.membersOf(id);
    this.sign = sign;
    this.title.textContent = t(scene === "user" ? "contact" : "group");
    const focus = this.body.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
    fill(this.body, scene === "user" ? this.#person(id) : this.#group(id));
    if (focus) this.body.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
  }

  // Somebody

  #person(id) {
    const { app } = this;
    const { model } = app;
    const person = model.person(id);
    const own = id === model.me.userID;
    const fact = (label, value) => value && [h("dt", null, label), h("dd", null, name(value))];
    return [
      h("div", { class: "who" }, faceOf(app, id, "huge"), h("h3", null, name(person.name)), h("p", null, name(id))),
      !own && app.chat.open?.key !== keyOf("user", id) && h("div", { class: "buttons center write" },
        h("button", { type: "button", class: "primary", dataset: { focus: "write" }, onclick: () => app.chat.show(keyOf("user", id)) }, icon("chat"), t("write.to"))),
      !own && this.#friendship(id, person),
      h("dl", { class: "facts" }, fact(t("profile.about"), person.remark), fact(t("profile.phone"), person.phoneNumber), fact(t("server"), id.split("@").at(-1))),
    ];
  }

  #friendship(id, person) {
    const { app } = this;
    const stand = app.model.stand(id);
    const button = (label, kind, drawing, work) => {
      const made = h("button", { type: "button", class: kind, dataset: { focus: label } }, icon(drawing), label);
      made.addEventListener("click", act(made, work, refusal));
      return made;
    };
    if (stand === "friends") {
      return h("div", { class: "buttons center" }, button(t("friend.end"), "quiet danger-text", "remove", async () => {
        if (await sure({ title: t("friend.end"), text: t("friend.end.text", { name: person.name }), yes: t("friend.end") })) await endFriend(app, id);
      }));
    }
    if (stand === "asks") {
      const remark = app.model.requests.get(id)?.remark;
      return h("div", { class: "ask" }, h("p", null, t("friend.asks.you", { name: person.name })), remark && h("blockquote", null, name(remark)),
        h("div", { class: "buttons center" }, button(t("accept"), "primary", "kept", () => answerFriend(app, id, true)), button(t("decline"), "quiet", "close", () => answerFriend(app, id, false))));
    }
    if (stand === "asked") return h("div", { class: "ask" }, h("p", null, t("friend.asked")), h("div", { class: "buttons center" }, button(t("friend.withdraw"), "quiet", "undo", () => endFriend(app, id))));
    const remark = h("textarea", { rows: "2", maxlength: "200", placeholder: t("friend.remark"), "aria-label": t("friend.remark"), dataset: { focus: "remark" } });
    return h("div", { class: "ask" }, remark, h("div", { class: "buttons center" }, button(t("friend.add"), "quiet", "add", () => askFriend(app, id, remark.value.trim() || undefined))));
  }

  // A group

  #group(id) {
    const { app } = this;
    const group = app.model.groups.get(id);
    if (!group) return h("p", { class: "hint" }, t("group.gone"));
    const { groupInfo, userType = 0, gone } = group;
    const leads = userType > 1 && !gone;
    const members = app.model.membersOf(id);
    const row = (label, drawing, click, kind = "") => h("button", { type: "button", class: ["line-button", kind], dataset: { focus: label }, onclick: click }, icon(drawing), h("span", null, label));
    const mayInvite = !gone && (leads || group.grpset?.isAllow !== 2);
    return [
      h("div", { class: "who" }, avatar(app, { id, name: groupInfo.groupName, portrait: groupInfo.groupIcon, group: true, size: "huge" }),
        h("h3", null, name(groupInfo.groupName)), h("p", null, gone ? t("group.gone") : t("members", { n: groupInfo.groupMemberNum }))),
      !gone && h("div", { class: "line-buttons" },
        mayInvite && row(t("group.invite"), "add", () => invite(app, id)),
        leads && !group.server && row(t("qr.title"), "qr", () => qr(app, id)),
        leads && row(t("group.settings"), "settings", () => this.#settings(id))),
      this.applicants.length > 0 && [h("h4", null, t("group.applicants")), h("ul", { class: "list members" }, this.applicants.map((one) => this.#applicant(id, one)))],
      !gone && [h("h4", null, t("members", { n: members.length || groupInfo.groupMemberNum })),
        h("ul", { class: "list members" }, [...members].sort((a, b) => b.userType - a.userType || a.userInfo.name.localeCompare(b.userInfo.name)).map((member) => this.#member(id, member, userType, Boolean(group.server))))],
      h("dl", { class: "facts" }, h("dt", null, t("group.id")), h("dd", null, h("code", null, id)), h("dt", null, t("group.home")), h("dd", null, name(group.server ?? app.model.me.server))),
      !gone && h("div", { class: "line-buttons" },
        userType === 3
          ? row(t("group.dissolve"), "trash", () => this.#end(id, "dissolve"), "danger-text")
          : row(t("group.leave"), "leave", () => this.#end(id, "leave"), "danger-text")),
    ];
  }

  #applicant(id, { user }) {
    const { app } = this;
    const decide = (agree) => async () => {
      await app.api.post(pathOf(id, "/decide"), { userID: user.userID, agree });
      await this.#applicants(id);
      await app.model.reloadMembers(id);
    };
    const yes = h("button", { type: "button", class: "primary short" }, t("accept"));
    const no = h("button", { type: "button", class: "quiet short" }, t("decline"));
    yes.addEventListener("click", act(yes, decide(true), refusal));
    no.addEventListener("click", act(no, decide(false), refusal));
    return h("li", { class: "request" }, faceOf(app, user.userID, "small"), h("div", { class: "row-main" }, name(user.name, { class: "row-title" }), user.remark && h("blockquote", null, name(user.remark)), h("div", { class: "buttons" }, yes, no)));
  }

  #member(id, { userType, userInfo }, mine, elsewhere) {
    const { app } = this;
    const { userID } = userInfo;
    const own = userID === app.model.me.userID;
    const role = userType > 1 && h("span", { class: ["role", userType === 3 && "owner"] }, icon(userType === 3 ? "crown" : "admin"), t(`role.${userType}`));
    const owner = mine === 3 && !elsewhere;
    const run = (path, body, done) => app.api.post(pathOf(id, path), body).then(() => {
      note(done);
      return app.model.reloadMembers(id);
    }).catch((error) => note(refusal(error), "bad"));
    const items = own ? [] : [
      owner && userType < 3 && { label: t(userType === 2 ? "admin.unset" : "admin.set"), icon: "admin", act: () => run("/admins", { users: [userID], admin: userType !== 2 }, t("done")) },
      owner && userType < 3 && { label: t("group.transfer"), icon: "crown", act: async () => {
        if (await sure({ title: t("group.transfer"), text: t("group.transfer.text", { name: userInfo.name }), yes: t("group.transfer") })) {
          await run("/transfer", { userID }, t("done"));
          await app.model.reloadGroups();
        }
      } },
      mine > userType && { label: t("group.remove"), icon: "remove", danger: true, act: async () => {
        if (await sure({ title: t("group.remove"), text: t("group.remove.text", { name: userInfo.name }), yes: t("group.remove") })) await run("/remove", { users: [userID] }, t("done"));
      } },
    ].filter(Boolean);
    const more = items.length > 0 && h("button", { type: "button", class: "plain round", "aria-haspopup": "menu", "aria-label": t("member.menu", { name: userInfo.name }), title: t("message.menu"), dataset: { focus: `menu ${userID}` }, onclick: ({ currentTarget }) => menu(currentTarget, items) }, icon("more"));
    return h("li", { class: "member" },
      h("button", { type: "button", class: "row", disabled: own, dataset: { focus: userID }, onclick: () => this.person(userID) }, faceOf(app, userID, "small"),
        h("span", { class: "row-main" }, h("span", { class: "row-top" }, name(own ? t("you") : userInfo.name, { class: "row-title" }), role), h("span", { class: "row-bottom" }, name(userID, { class: "row-text" })))),
      more);
  }

  #settings(id) {
    const { app } = this;
    const { groupInfo, grpset } = app.model.groups.get(id);
    const title = h("input", { type: "text", value: groupInfo.groupName, maxlength: "128", required: true });
    const open = h("input", { type: "checkbox", checked: grpset?.isAllow !== 2 });
    const visible = h("input", { type: "checkbox", checked: grpset?.isVisible !== 2 });
    const picture = h("input", { type: "file", accept: "image/png,image/jpeg,image/gif" });
    const save = h("button", { type: "submit", class: "primary" }, t("save"));
    const run = act(save, async () => {
      const change = { groupName: title.value.trim(), isAllow: open.checked, isVisible: visible.checked };
      if (picture.files[0]) change.groupIcon = await portrait(app, picture.files[0], "icon");
      await app.api.put(pathOf(id), change);
      await app.model.reloadGroups();
      asked.close();
      note(t("saved"));
    }, refusal);
    save.addEventListener("click", run);
    const asked = dialog({
      title: t("group.settings"),
      body: h("form", { class: "stack", onsubmit: run }, h("label", null, t("group.name"), title), h("label", null, t("group.icon"), picture),
        h("label", { class: "check" }, open, h("span", null, t("group.open"), h("small", null, t("group.open.hint")))),
        h("label", { class: "check" }, visible, h("span", null, t("group.visible"), h("small", null, t("group.visible.hint"))))),
      actions: [h("button", { type: "button", class: "quiet", onclick: () => asked.close() }, t("cancel")), save],
    });
  }

  async #end(id, what) {
    const { app } = this;
    const { groupName } = app.model.groups.get(id).groupInfo;
    if (!(await sure({ title: t(`group.${what}`), text: t(`group.${what}.text`, { name: groupName }), yes: t(`group.${what}`) }))) return;
    try {
      if (what === "leave") await app.api.post(pathOf(id, "/leave"));
      else await app.api.delete(pathOf(id));
      this.hide();
      await app.model.reloadGroups();
    } catch (error) {
      note(refusal(error), "bad");
    }
  }
}

/** Uploads a picture cut square; its mediaID. */
export async function portrait(app, file, kind) {
  const type = await pictureType(file);
  if (!type) throw Object.assign(new Error(""), { code: 1402, status: 200 });
  return app.files.upload(await square(new Blob([file], { type }), 256), kind, {});
}
