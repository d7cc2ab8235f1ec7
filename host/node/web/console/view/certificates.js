// Certificates of the servers, and which of them are revoked (R13).

import { fill, h, name } from "../../shared/dom.js";
import { t } from "../../shared/words.js";
import { empty, head, row, SOON_MS, table, tag, when } from "../say.js";

const SHOWN = 500;
const KINDS = ["all", "valid", "revoked"];

export class Certificates {
  every = 8000;
  certificates = [];

  constructor(app) {
    this.app = app;
    this.headings = [t("certificates.serial"), t("peers.server"), t("certificates.issued"), t("certificates.until"), t("certificates.algorithms"), t("peers.state")];
    this.body = h("tbody");
    this.none = h("div");
    this.sum = h("p", { class: "hint", role: "status" });
    this.search = h("input", { type: "search", "aria-label": t("certificates.search"), placeholder: t("certificates.search"), oninput: () => this.draw() });
    this.kind = h("select", { "aria-label": t("certificates.which"), onchange: () => this.draw() }, KINDS.map((value) => h("option", { value }, t(`certificates.${value}`))));
    this.element = h("div", { class: "stack" }, head(t("page.certificates"), t("certificates.hint")),
      h("section", { class: "panel" }, h("div", { class: "filter two" }, this.search, this.kind), this.sum, table(this.headings, this.body), this.none));
  }

  async tick() {
    let certificates;
    try {
      ({ certificates } = await this.app.api.poll("certificates"));
    } catch {
      return;
    }
    const sign = JSON.stringify(certificates);
    if (sign === this.sign) return;
    this.sign = sign;
    this.certificates = certificates;
    this.draw();
  }

  draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const fits = { all: () => true, valid: ({ revokedMs }) => !revokedMs, revoked: ({ revokedMs }) => Boolean(revokedMs) }[this.kind.value];
    const found = this.certificates.filter((one) => fits(one) && `${one.serial} ${one.serverId}`.toLowerCase().includes(wanted));
    const revoked = this.certificates.filter(({ revokedMs }) => revokedMs).length;
    this.sum.textContent = t("certificates.sum", { n: this.certificates.length, revoked });
    fill(this.body, found.slice(0, SHOWN).map((one) => this.certificate(one)));
    fill(this.none, found.length === 0 && empty("lock", t("certificates.none")));
  }

  certificate(one) {
    const soon = one.notAfterMs - Date.now() < SOON_MS;
    const state = one.revokedMs ? h("div", null, tag(t("certificates.revoked"), "bad"), h("small", null, when(one.revokedMs))) : soon ? tag(t("certificates.soon"), "warn") : tag(t("certificates.valid"), "good");
    return row(this.headings, [h("code", null, one.serial), name(one.serverId), when(one.issuedMs), when(one.notAfterMs), one.keyAlgorithm ? `${one.keyAlgorithm} / ${one.signatureAlgorithm}` : "–", state], { dataset: { serial: one.serial, server: one.serverId } });
  }
}
