// The servers that the platform has registered: how each stands, and who may take part.

import { fill, h, name } from "../../shared/dom.js";
import { dialog, menu } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { icon } from "../icons.js";
import { carry, empty, field, head, row, SOON_MS, table, tag, when } from "../say.js";
import { facts } from "./applications.js";

/** Rows at once; the rest is found by search. */
const SHOWN = 200;
const STANDING = { 0: ["peers.normal", "good"], 1: ["peers.suspended", "warn"], 2: ["peers.deregistered", "bad"] };

export class Servers {
  every = 4000;
  servers = [];

  constructor(app) {
    this.app = app;
    this.headings = [t("peers.server"), t("peers.state"), t("servers.owner"), t("servers.registered"), t("peers.certificate"), ""];
    this.body = h("tbody");
    this.none = h("div");
    this.more = h("p", { class: "hint" });
    this.search = h("input", { type: "search", "aria-label": t("servers.search"), placeholder: t("servers.search"), oninput: () => this.draw() });
    this.element = h("div", { class: "stack" }, head(t("page.servers"), t("servers.hint")),
      h("section", { class: "panel" }, h("div", { class: "filter" }, this.search), table(this.headings, this.body), this.none, this.more));
  }

  async tick() {
    let servers;
    try {
      ({ servers } = await this.app.api.poll("servers"));
    } catch {
      return;
    }
    const sign = JSON.stringify(servers);
    if (sign === this.sign) return;
    this.sign = sign;
    this.servers = servers;
    this.draw();
  }

  draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const words = (server) => Object.values(server).join(" ").toLowerCase();
    const found = this.servers.filter((server) => words(server).includes(wanted));
    fill(this.body, found.slice(0, SHOWN).map((server) => this.server(server)));
    fill(this.none, found.length === 0 && empty("peers", t(wanted ? "servers.nothing" : "servers.none")));
    this.more.textContent = found.length > SHOWN ? t("applications.more", { n: found.length - SHOWN }) : "";
  }

  server(server) {
    const [standing, kind] = STANDING[server.serverStatus];
    const soon = server.serverStatus !== "2" && server.notAfterMs - Date.now() < SOON_MS;
    const more = h("button", { type: "button", class: "plain round", "aria-label": t("servers.acts", { name: server.serverId }), "aria-haspopup": "menu", onclick: () => this.acts(server, more) }, icon("more"));
    return row(this.headings, [
      h("div", null, h("strong", null, name(server.serverName)), h("small", null, name(`${server.serverId} · ${server.serverAddress}${server.area ? ` · ${server.area}` : ""}`))),
      tag(t(standing), kind),
      h("div", null, name(server.ownerId), h("small", null, name(server.contactName))),
      when(server.registeredMs),
      server.revoked ? tag(t("certificates.revoked"), "bad") : server.notAfterMs ? h("span", { class: soon ? "wrong" : null }, t("peers.until"), " ", when(server.notAfterMs)) : "–",
      more,
    ], { dataset: { server: server.serverId } });
  }

  acts(server, anchor) {
    const decides = this.app.role === "system";
    menu(anchor, [
      { label: t("servers.look"), icon: "info", act: () => this.look(server) },
      decides && server.serverStatus === "0" && { label: t("servers.suspend"), icon: "pause", act: () => this.change(server, "suspend") },
      decides && server.serverStatus === "1" && { label: t("servers.resume"), icon: "play", act: () => this.change(server, "resume") },
      decides && server.serverStatus !== "2" && { label: t("servers.deregister"), icon: "trash", danger: true, act: () => this.change(server, "deregister") },
    ]);
  }

  look(server) {
    const fact = (term, value) => [h("dt", null, term), h("dd", null, value)];
    dialog({ title: server.serverName, wide: true, body: h("dl", { class: "facts" }, facts(server),
      fact(t("servers.registered"), when(server.registeredMs)),
      server.serial && [fact(t("certificates.serial"), h("code", null, server.serial)), fact(t("certificates.until"), when(server.notAfterMs))],
      server.keyAlgorithm && fact(t("certificates.algorithms"), `${server.keyAlgorithm} / ${server.signatureAlgorithm}`)) });
  }

  change(server, verb) {
    const why = h("input", { required: true, maxlength: "200" });
    const wrong = h("p", { class: "wrong", role: "alert" });
    // For good: nobody does it by a slip.
    const typed = verb === "deregister" && h("input", { required: true, autocapitalize: "none", autocomplete: "off", spellcheck: "false", class: "code" });
    const button = h("button", { type: "submit", form: "standing", class: verb === "resume" ? "primary" : "danger" }, t(`servers.${verb}`));
    const body = h("form", { id: "standing", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      fill(wrong, typed && typed.value.trim() !== server.serverId ? t("servers.typedwrong") : "");
      if (wrong.textContent) return;
      if (!(await carry(button, () => this.app.api.post(`servers/${segment(server.serverId)}/${verb}`, { reason: why.value.trim() }), t(`servers.did${verb}`, { name: server.serverId })))) return;
      opened.close();
      await this.tick();
    } }, h("p", null, t(`servers.${verb}hint`, { name: server.serverId })), field(t("why"), why), typed && field(t("servers.type", { name: server.serverId }), typed), wrong);
    const opened = dialog({ title: t(`servers.${verb}`), body, actions: [button], kind: "small" });
  }
}
