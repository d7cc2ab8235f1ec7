// Messages that the policy held: looked at, released, dropped.

import { fill, h, name, rows } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { dialog } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { ago, carry, empty, field, head, tag } from "../say.js";

export class Held {
  every = 4000;

  constructor(app) {
    this.app = app;
    this.list = h("ul", { class: "held-list" });
    this.none = h("div");
    this.element = h("div", { class: "stack" }, head(t("page.held"), t("held.hint")), this.list, this.none);
  }

  async tick() {
    let held;
    try {
      ({ held } = await this.app.api.poll("held?limit=500"));
    } catch {
      return;
    }
    this.app.badge("held", held.filter(({ released }) => !released).length);
    rows(this.list, held.map((one) => ({ key: one.id, sign: String(Boolean(one.released)), make: () => this.card(one) })));
    fill(this.none, held.length === 0 && h("section", { class: "panel" }, empty("kept", t("held.none"))));
  }

  card(one) {
    const { message, reason } = one;
    const release = h("button", { type: "button", class: "primary", onclick: async () => {
      const answer = await carry(release, () => this.app.api.post(`held/${segment(one.id)}/release`), ({ waitsFor }) => t(waitsFor ? "held.waits" : "held.released"));
      if (answer) await this.tick();
    } }, icon("kept"), t("held.release"));
    const drop = h("button", { type: "button", class: "quiet danger-text", onclick: () => this.drop(one) }, icon("trash"), t("held.drop"));
    return h("li", { class: "panel held-one", dataset: { held: one.id } },
      h("header", null,
        h("div", { class: "route" }, name(message.sendID ?? "?"), icon("send"), name(message.recvID ?? "?")),
        h("span", { class: "tags" }, tag(t(`held.${one.way}`)), one.released && tag(t("held.waiting"), "warn")),
        ago(one.sinceMs)),
      h("blockquote", { class: "said" }, said(message)),
      h("p", { class: "hint" }, icon("admin"), t("held.why", { plugin: reason.plugin || "?", text: reason.text || reason.code })),
      h("div", { class: "buttons" }, !one.released && release, drop));
  }

  drop(one) {
    const why = h("input", { maxlength: "200" });
    const button = h("button", { type: "submit", form: "drop", class: "danger" }, t("held.drop"));
    const body = h("form", { id: "drop", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      if (!(await carry(button, () => this.app.api.post(`held/${segment(one.id)}/drop`, { reason: why.value }), t("held.dropped")))) return;
      opened.close();
      await this.tick();
    } }, h("p", null, t("held.drophint")), field(t("held.reason"), why));
    const opened = dialog({ title: t("held.drop"), body, actions: [button], kind: "small" });
  }
}

/** What a message says: its text, or its file's name. */
function said(message) {
  const content = message.content ?? message;
  const parts = typeof content === "string" ? [content] : texts(content);
  return name(parts.join("\n") || t("held.empty"));
}

/** All that a person would read in it. */
function texts(value, key = "") {
  if (typeof value === "string") return /^(message|text|title|description|content|name|mediaName|fileName|address)$/.test(key) ? [value] : [];
  if (value && typeof value === "object") return Object.entries(value).flatMap(([inner, one]) => texts(one, inner));
  return [];
}
