// The server's own users.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { dialog, menu, sure } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { ago, carry, empty, field, head, row, table, tag, when } from "../say.js";
import { mark, measures } from "./measures.js";

/** Rows at once; whoever is beyond is found by search. */
const SHOWN = 200;

export class Users {
  users = [];

  constructor(app) {
    this.app = app;
    this.headings = [t("users.user"), t("users.phone"), t("users.since"), t("users.state"), ""];
    this.body = h("tbody");
    this.more = h("p", { class: "hint" });
    this.none = h("div");
    this.search = h("input", { type: "search", "aria-label": t("users.search"), placeholder: t("users.search"), oninput: () => this.draw() });
    this.element = h("div", { class: "stack" },
      head(t("page.users"), t("users.hint"), h("button", { type: "button", class: "primary", onclick: () => this.create() }, icon("add"), t("users.create"))),
      h("section", { class: "panel" }, h("div", { class: "filter" }, this.search), table(this.headings, this.body), this.none, this.more));
  }

  async tick() {
    const answer = await carry(undefined, () => this.app.api.get("users"));
    if (!answer) return;
    this.users = answer.users.sort((a, b) => a.userID.localeCompare(b.userID));
    this.draw();
  }

  draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const found = this.users.filter((user) => `${user.userID} ${user.name} ${user.phoneNumber ?? ""}`.toLowerCase().includes(wanted));
    fill(this.body, found.slice(0, SHOWN).map((user) => this.user(user)));
    fill(this.none, found.length === 0 && empty("people", t("users.none")));
    this.more.textContent = found.length > SHOWN ? t("users.more", { n: found.length - SHOWN }) : "";
  }

  user(user) {
    const more = h("button", { type: "button", class: "plain round", "aria-label": t("users.acts", { name: user.userID }), "aria-haspopup": "menu", onclick: () => this.acts(user, more) }, icon("more"));
    return row(this.headings, [
      h("div", null, h("strong", null, name(user.name)), h("small", null, name(user.userID))),
      user.phoneNumber ? name(user.phoneNumber) : "–",
      when(user.createdMs),
      h("span", { class: "tags" }, user.disabled ? tag(t("users.disabled"), "bad") : !user.measures.some((one) => one.measure === "suspend") && tag(t("users.active"), "good"), user.measures.filter((one) => one.measure !== "warn").map(mark), user.hidden && tag(t("users.hidden"))),
      more,
    ], { dataset: { user: user.userID } });
  }

  acts(user, anchor) {
    menu(anchor, [
      { label: t("users.devices"), icon: "device", act: () => this.devices(user) },
      { label: t("measures"), icon: "notice", act: () => measures(this, user) },
      { label: t("users.reset"), icon: "lock", act: () => this.reset(user) },
      user.disabled
        ? { label: t("users.enable"), icon: "kept", act: () => this.able(user, "enable") }
        : { label: t("users.disable"), icon: "refused", danger: true, act: () => this.able(user, "disable") },
    ]);
  }

  async able(user, verb) {
    const asked = verb === "enable" || (await sure({ title: t("users.disable"), text: t("users.disablehint", { name: user.userID }), yes: t("users.disable") }));
    if (!asked) return;
    await carry(undefined, () => this.app.api.post(`users/${segment(user.userID)}/${verb}`), t(`users.did${verb}`, { name: user.userID }));
    await this.tick();
  }

  create() {
    const id = h("input", { required: true, maxlength: "64", autocapitalize: "none", spellcheck: "false" });
    const title = h("input", { maxlength: "64" });
    const phone = h("input", { type: "tel", maxlength: "32" });
    const secret = h("input", { required: true, minlength: "8", maxlength: "1024", class: "code", autocomplete: "off", value: suggestion() });
    const button = h("button", { type: "submit", form: "create", class: "primary" }, t("users.create"));
    const body = h("form", { id: "create", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      const user = { userID: id.value.trim(), name: title.value.trim(), password: secret.value };
      if (phone.value.trim()) user.phoneNumber = phone.value.trim();
      if (!(await carry(button, () => this.app.api.post("users", user), t("users.created", { name: user.userID })))) return;
      opened.close();
      await this.tick();
    } }, field(t("users.id"), id, t("users.idhint", { server: this.app.me.serverId })), field(t("users.name"), title), field(t("users.phone"), phone), field(t("users.password"), secret, t("users.passwordhint")));
    const opened = dialog({ title: t("users.create"), body, actions: [button], kind: "small" });
  }

  reset(user) {
    const secret = h("input", { required: true, minlength: "8", maxlength: "1024", class: "code", autocomplete: "off", value: suggestion() });
    const button = h("button", { type: "submit", form: "reset", class: "primary" }, t("users.reset"));
    const body = h("form", { id: "reset", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      if (await carry(button, () => this.app.api.post(`users/${segment(user.userID)}/password`, { password: secret.value }), t("users.didreset", { name: user.userID }))) opened.close();
    } }, h("p", null, t("users.resethint", { name: user.userID })), field(t("users.password"), secret, t("users.passwordhint")));
    const opened = dialog({ title: t("users.reset"), body, actions: [button], kind: "small" });
  }

  async devices(user) {
    const path = `users/${segment(user.userID)}/devices`;
    const list = h("ul", { class: "devices" });
    const all = h("button", { type: "button", class: "danger", onclick: () => end(all, {}) }, t("users.endall"));
    const load = async () => {
      const answer = await carry(undefined, () => this.app.api.get(path));
      const devices = answer?.devices ?? [];
      all.disabled = devices.length === 0;
      fill(list, devices.map((device) => {
        const button = h("button", { type: "button", class: "quiet short", onclick: () => end(button, { deviceID: device.deviceID }) }, t("users.end"));
        return h("li", null, icon("device"), h("div", null, h("strong", null, name(device.name || t("users.nameless"))), h("small", null, t("users.seen"), " ", ago(device.lastSeenMs))), button);
      }), devices.length === 0 && h("li", null, empty("device", t("users.nodevices"))));
    };
    const end = async (button, which) => {
      if (await carry(button, () => this.app.api.post(`${path}/end`, which), t("users.ended"))) await load();
    };
    dialog({ title: t("users.devicesof", { name: user.userID }), body: list, actions: [all], kind: "small" });
    await load();
  }
}

/** A password to hand over. */
function suggestion() {
  const signs = "abcdefghijkmnpqrstuvwxyz23456789";
  const chosen = [...crypto.getRandomValues(new Uint8Array(15))].map((byte) => signs[byte & 31]).join("");
  return chosen.match(/.{5}/g).join("-");
}
