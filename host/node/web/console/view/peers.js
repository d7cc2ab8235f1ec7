// Other servers: how they stand, when they were heard of, what waits for them; and who may not come in.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { dialog } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { ago, carry, empty, field, head, number, panel, row, SOON_MS, table, tag, when } from "../say.js";

/** The list that bars servers, by what it is likely called. */
const BARRING = /black|block|deny|bar/i;

export class Peers {
  every = 5000;
  lists = [];

  constructor(app) {
    this.app = app;
    this.decides = app.role === "security";
    this.headings = [t("peers.server"), t("peers.state"), t("peers.contact"), t("peers.certificate"), t("peers.letters"), ...(this.decides ? [""] : [])];
    this.body = h("tbody");
    this.none = h("div");
    this.lanes = h("tbody");
    this.element = h("div", { class: "stack" }, head(t("page.peers"), t("peers.hint")), panel(undefined, table(this.headings, this.body), this.none), app.role === "system" && this.outbox());
  }

  outbox() {
    this.laneHeadings = [t("peers.server"), t("peers.call"), t("peers.sender"), t("peers.letters"), t("peers.expires")];
    this.noLanes = h("div");
    return panel(t("peers.outbox"), table(this.laneHeadings, this.lanes), this.noLanes);
  }

  async tick() {
    const { api } = this.app;
    try {
      const wanted = [api.poll("peers"), this.decides ? this.barred() : api.poll("outbox")];
      const [{ peers }, { lanes }] = await Promise.all(wanted);
      fill(this.body, peers.map((peer) => this.peer(peer)));
      fill(this.none, peers.length === 0 && empty("peers", t("peers.none")));
      if (!lanes) return;
      fill(this.lanes, lanes.map((lane) => row(this.laneHeadings, [name(lane.peer), h("code", null, lane.call), lane.sender ? name(lane.sender) : "–", number(lane.letters), when(lane.expiresMs)])));
      fill(this.noLanes, lanes.length === 0 && empty("kept", t("peers.nolanes")));
    } catch {
      // The next turn may do better.
    }
  }

  /** The entries of lists that bar servers. */
  async barred() {
    const { lists } = await this.app.api.poll("policy/lists");
    const barring = lists.filter((list) => BARRING.test(list.name));
    this.lists = await Promise.all(barring.map((list) => this.app.api.poll(`policy/lists/${segment(list.name)}`)));
    return {};
  }

  /** The list that bars a server, if one does. */
  barring(peer) {
    return this.lists.find(({ entries }) => entries.some((entry) => entry.toLowerCase() === peer.serverId.toLowerCase()));
  }

  peer(peer) {
    const barring = this.barring(peer);
    const standing = { 0: [t("peers.normal"), ""], 1: [t("peers.suspended"), "warn"], 2: [t("peers.deregistered"), "bad"] }[peer.status];
    const state = [
      peer.down ? tag(t("peers.down"), "bad") : peer.lastContactMs ? tag(t("peers.up"), "good") : tag(t("peers.unmet")),
      peer.status !== "0" && tag(...standing),
      barring && tag(t("peers.blocked"), "bad"),
    ];
    const act = barring
      ? h("button", { type: "button", class: "quiet short", onclick: () => this.change(peer, barring, false) }, icon("kept"), t("peers.allow"))
      : h("button", { type: "button", class: "quiet short danger-text", onclick: () => this.change(peer, this.lists[0], true) }, icon("refused"), t("peers.block"));
    const { certificate } = peer;
    const soon = certificate && certificate.untilMs - Date.now() < SOON_MS;
    return row(this.headings, [
      h("div", null, h("strong", null, name(peer.name)), h("small", null, name(`${peer.serverId} · ${peer.address}${peer.area ? ` · ${peer.area}` : ""}`))),
      h("div", null, h("span", { class: "tags" }, state), peer.down && peer.retryInMs !== undefined && h("small", null, t("peers.retry", { n: peer.failures ?? 0, seconds: Math.ceil(peer.retryInMs / 1000) }))),
      peer.lastContactMs ? ago(peer.lastContactMs) : t("peers.never"),
      certificate ? h("div", { title: certificate.serial }, h("span", { class: soon ? "wrong" : null }, t("peers.until"), " ", when(certificate.untilMs)), h("small", null, h("code", null, certificate.serial.slice(0, 16)))) : "–",
      peer.letters > 0 ? h("strong", null, number(peer.letters)) : "0",
      ...(this.decides ? [this.lists.length > 0 ? act : null] : []),
    ], { dataset: { peer: peer.serverId } });
  }

  change(peer, list, bar) {
    const why = h("input", { required: true, maxlength: "200" });
    const button = h("button", { type: "submit", form: "bar", class: bar ? "danger" : "primary" }, bar ? t("peers.block") : t("peers.allow"));
    const body = h("form", { id: "bar", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      const change = { [bar ? "add" : "remove"]: [peer.serverId], why: why.value, revision: list.revision };
      if (await carry(button, () => this.app.api.post(`policy/lists/${segment(list.name)}`, change), t(bar ? "peers.didblock" : "peers.didallow", { name: peer.serverId }))) {
        opened.close();
        await this.tick();
      }
    } }, h("p", null, t(bar ? "peers.blockhint" : "peers.allowhint", { name: peer.serverId, list: list.name })), field(t("why"), why));
    const opened = dialog({ title: bar ? t("peers.block") : t("peers.allow"), body, actions: [button], kind: "small" });
  }
}
