// How the platform fares, and what waits for a decision.

import { fill, h, name } from "../../shared/dom.js";
import { t } from "../../shared/words.js";
import { ago, empty, number, panel, row, SOON_MS, table, tag, tile, when } from "../say.js";
import { applicant } from "./applications.js";

const NORMAL = "0";

export class Registry {
  every = 4000;

  constructor(app) {
    this.app = app;
    this.tiles = h("div", { class: "tiles", role: "status" });
    this.headings = [t("applications.server"), t("applications.kind"), t("applications.since"), ""];
    this.waiting = h("tbody");
    this.none = h("div");
    this.authority = h("dl", { class: "facts" });
    this.domain = h("p");
    this.element = h("div", { class: "stack" },
      h("header", { class: "page-head" }, h("div", null, h("h1", null, t("page.overview")), this.domain)),
      this.tiles,
      panel(t("registry.waiting"), table(this.headings, this.waiting), this.none),
      panel(t("registry.authority"), this.authority));
  }

  async tick() {
    const { api } = this.app;
    try {
      const [status, { servers }, { applications }] = await Promise.all([api.poll("status"), api.poll("servers"), api.poll("applications?state=pending")]);
      this.tiles.classList.remove("stale");
      this.draw(status, servers, applications);
    } catch {
      this.tiles.classList.add("stale");
    }
  }

  draw(status, servers, applications) {
    const there = servers.filter(({ serverStatus }) => serverStatus !== "2");
    const normal = there.filter(({ serverStatus }) => serverStatus === NORMAL).length;
    const certified = there.filter(({ notAfterMs }) => notAfterMs > Date.now());
    const ending = there.filter(({ notAfterMs }) => notAfterMs - Date.now() < SOON_MS).length;
    const behind = status.audit.size - status.audit.checkpoint;
    this.app.badge("applications", applications.length);
    fill(this.domain, t("registry.domain"), " ", name(status.domain));
    fill(this.tiles,
      tile(t("registry.servers"), `${normal} / ${there.length}`, normal < there.length ? t("registry.suspended", { n: there.length - normal }) : t("registry.allnormal"), normal < there.length && "warn"),
      tile(t("registry.pending"), number(applications.length), applications.length > 0 ? [t("applications.since"), " ", ago(applications[0].createdMs)] : t("registry.nonepending"), applications.length > 0 && "warn"),
      tile(t("page.certificates"), number(certified.length), ending > 0 ? t("registry.ending", { n: ending }) : t("registry.renewed"), ending > 0 && "warn"),
      tile(t("registry.connections"), number(status.connections.api), t("registry.admins", { n: status.connections.admin })),
      tile(t("overview.audit"), number(status.audit.size), behind > 0 ? t("overview.unsigned", { n: behind }) : t("overview.signed")),
      tile(t("overview.faults"), number(status.faults), status.faults > 0 ? t("registry.seelog") : t("overview.healthy"), status.faults > 0 && "bad"));
    const sign = JSON.stringify(applications);
    if (sign !== this.sign) {
      this.sign = sign;
      fill(this.waiting, applications.map((one) => row(this.headings, [applicant(one), tag(t(`application.${one.kind}`)), ago(one.createdMs), h("a", { class: "button", href: "#/applications" }, t("registry.review"))])));
      fill(this.none, applications.length === 0 && empty("kept", t("registry.nonepending")));
    }
    const { ca, expiring = [] } = status;
    const fact = (term, value) => [h("dt", null, term), h("dd", null, value)];
    fill(this.authority,
      fact(t("registry.fingerprint"), h("code", null, ca.fingerprint)),
      fact(t("registry.roots"), number(ca.roots)),
      fact(t("registry.rootkey"), ca.rootOnline ? tag(t("registry.online"), "warn") : tag(t("registry.offline"), "good")),
      fact(t("registry.issuer"), [t("peers.until"), " ", when(ca.issuerNotAfterMs)]),
      expiring.map((one) => fact(tag(t(`ending.${one.event}`), "bad"), [t("peers.until"), " ", when(one.notAfterMs), h("small", { class: "wrong" }, name(one.remedy))])),
      fact(t("registry.serial"), h("code", null, String(status.serial))));
  }
}
