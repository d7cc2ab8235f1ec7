// Applications of servers (R15): what is asked for beside what is, a person's decision, and what was decided before.

import { fill, h, name, rows } from "../../shared/dom.js";
import { dialog } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { icon } from "../icons.js";
import { actor, ago, carry, empty, field, head, number, panel, row, table, tag, when } from "../say.js";

/** Decided ones shown at once; older ones are found by search. */
const SHOWN = 100;
/** What is known of a server, in the order in which a reviewer reads it. */
export const FIELDS = ["serverName", "serverAddress", "ownerId", "serverType", "area", "contactName", "contactEmail", "contactMobile"];
const VERDICTS = { approved: "good", rejected: "bad" };

/** Whose application it is: by the name that the registry knows, if it knows one. */
export function applicant({ serverInfo }, known) {
  const title = known?.serverName ?? serverInfo.serverName;
  return h("div", null, h("strong", null, name(title ?? serverInfo.serverId)), title && h("small", null, name(serverInfo.serverId)));
}

export class Applications {
  every = 4000;

  constructor(app) {
    this.app = app;
    this.waiting = h("ul", { class: "held-list" });
    this.none = h("div");
    this.headings = [t("applications.server"), t("applications.kind"), t("applications.decision"), t("applications.decided"), t("applications.reason"), ""];
    this.body = h("tbody");
    this.nothing = h("div");
    this.more = h("p", { class: "hint" });
    this.search = h("input", { type: "search", "aria-label": t("applications.search"), placeholder: t("applications.search"), oninput: () => this.drawDecided() });
    this.element = h("div", { class: "stack" }, head(t("page.applications"), t("applications.hint")), this.waiting, this.none,
      panel(t("applications.past"), h("div", { class: "filter" }, this.search), table(this.headings, this.body), this.nothing, this.more));
  }

  async tick() {
    const { api } = this.app;
    let all;
    try {
      const [asked, { servers }] = await Promise.all([api.poll("applications"), api.poll("servers")]);
      all = asked.applications;
      this.reviewers = asked.reviewers;
      this.servers = new Map(servers.map((server) => [server.serverId.toLowerCase(), server]));
    } catch {
      return;
    }
    const pending = all.filter(({ state }) => state === "pending");
    this.app.badge("applications", pending.length);
    rows(this.waiting, pending.map((one) => ({ key: one.applicationId, sign: JSON.stringify([one, this.known(one)]), make: () => this.card(one) })));
    fill(this.none, pending.length === 0 && h("section", { class: "panel" }, empty("kept", t("registry.nonepending"))));
    const decided = all.filter(({ state }) => state !== "pending").sort((a, b) => b.decidedMs - a.decidedMs);
    const sign = JSON.stringify(decided);
    if (sign === this.sign) return;
    this.sign = sign;
    this.decided = decided;
    this.drawDecided();
  }

  known({ serverInfo }) {
    return this.servers.get(serverInfo.serverId.toLowerCase());
  }

  /** Whether this administrator has a say that was not given yet. */
  decides(one) {
    const { role, me } = this.app;
    const may = role === "system" || (role === "security" && this.reviewers > 1);
    return may && !one.approvals?.some(({ by }) => [role, me.administrator.name].includes(by));
  }

  card(one) {
    const act = (verb, drawn, kind) => h("button", { type: "button", class: kind, onclick: () => this.decide(one, verb) }, icon(drawn), t(`applications.${verb}`));
    return h("li", { class: "panel held-one application", dataset: { application: one.applicationId, server: one.serverInfo.serverId } },
      h("header", null, applicant(one, this.known(one)), tag(t(`application.${one.kind}`), one.kind === "deregister" ? "bad" : "warn"), ago(one.createdMs)),
      this.review(one),
      this.said(one),
      this.decides(one) && h("div", { class: "buttons" }, act("approve", "kept", one.kind === "deregister" ? "danger" : "primary"), act("reject", "close", "quiet danger-text")));
  }

  /** What is asked for. Of a change, old and new stand side by side; a mark tells what differs. */
  review(one) {
    if (one.kind === "register") return h("dl", { class: "facts wide" }, facts({ ...one.serverInfo, ownerId: one.ownerId }));
    if (one.kind === "deregister") {
      const known = this.known(one);
      return h("div", { class: "stack" }, h("blockquote", { class: "said" }, one.reason ? name(one.reason) : t("applications.noreason")), known && h("dl", { class: "facts wide" }, facts(known)));
    }
    const known = this.known(one) ?? {};
    const changed = new Map((one.changes ?? []).map((change) => [change.field, change]));
    const old = (key) => (changed.has(key) ? (changed.get(key).old ?? known[key]) : known[key]);
    const headings = [t("applications.field"), t("applications.old"), t("applications.new")];
    const differing = (key) => changed.has(key) && changed.get(key).new !== old(key);
    const keys = [...new Set([...changed.keys(), ...FIELDS.filter((key) => known[key])])].sort((a, b) => differing(b) - differing(a));
    return table(headings, h("tbody", { class: "beside" }, keys.map((key) => {
      const change = changed.get(key);
      const differs = differing(key);
      return row(headings, [label(key), shown(old(key)), change ? h("span", { class: "tags" }, h("strong", null, shown(change.new)), !differs && tag(t("applications.same"))) : h("span", { class: "soft" }, t("applications.stays"))], { class: differs ? "differs" : null, dataset: { field: key } });
    })));
  }

  /** Who has approved it so far. */
  said(one) {
    if (one.state !== "pending" || this.reviewers < 2) return undefined;
    const given = one.approvals ?? [];
    return h("div", { class: "hint" }, icon("admin"), h("span", null, t("applications.ofreviewers", { n: given.length, all: this.reviewers }), given.map(({ by, atMs, reason }) => [" · ", actor(by), " ", when(atMs), reason && [" · ", name(reason)]])));
  }

  decide(one, verb) {
    const why = h("input", { maxlength: "200", required: verb === "reject" });
    const bad = verb === "reject" || one.kind === "deregister";
    const button = h("button", { type: "submit", form: "decide", class: bad ? "danger" : "primary" }, t(`applications.${verb}`));
    const hint = verb === "reject" ? "applications.rejecthint" : `applications.${one.kind}hint`;
    const who = one.serverInfo.serverId;
    const body = h("form", { id: "decide", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      const told = ({ state }) => t(`applications.did${state}`, { name: who });
      if (!(await carry(button, () => this.app.api.post(`applications/${segment(one.applicationId)}/${verb}`, { reason: why.value.trim() }), told))) return;
      opened.close();
      await this.tick();
    } }, h("p", null, t(hint, { name: who })), field(t(verb === "reject" ? "applications.whytold" : "why"), why));
    const opened = dialog({ title: t(`applications.${verb}`), body, actions: [button], kind: "small" });
  }

  drawDecided() {
    const wanted = this.search.value.trim().toLowerCase();
    const words = (one) => [one.serverInfo.serverId, one.serverInfo.serverName, one.reason, one.ownerId, one.decidedBy].join(" ").toLowerCase();
    const found = this.decided.filter((one) => words(one).includes(wanted));
    fill(this.body, found.slice(0, SHOWN).map((one) => this.past(one)));
    fill(this.nothing, found.length === 0 && empty("file", t(wanted ? "applications.nothing" : "applications.nopast")));
    this.more.textContent = found.length > SHOWN ? t("applications.more", { n: found.length - SHOWN }) : "";
  }

  past(one) {
    const reason = one.reason || one.approvals?.findLast((approval) => approval.reason)?.reason;
    const open = h("button", { type: "button", class: "plain round", "aria-label": t("applications.look", { name: one.serverInfo.serverId }), onclick: () => this.look(one) }, icon("info"));
    return row(this.headings, [
      applicant(one, this.known(one)), tag(t(`application.${one.kind}`)), tag(t(`application.${one.state}`), VERDICTS[one.state]),
      h("div", null, when(one.decidedMs), h("small", null, actor(one.decidedBy ?? "–"))), reason ? name(reason) : "–", open,
    ], { dataset: { decided: one.applicationId, server: one.serverInfo.serverId } });
  }

  look(one) {
    const reviewers = (one.approvals ?? []).map(({ by, atMs, reason }) => h("li", null, tag(t("application.approved"), "good"), h("span", null, actor(by), " · ", when(atMs), reason && [" · ", name(reason)])));
    dialog({ title: `${t(`application.${one.kind}`)} · ${one.serverInfo.serverId}`, wide: true, body: [
      h("p", null, tag(t(`application.${one.state}`), VERDICTS[one.state]), " ", when(one.decidedMs), " · ", actor(one.decidedBy ?? "–")),
      this.review(one), reviewers.length > 0 && h("ul", { class: "changes" }, reviewers),
    ] });
  }
}

export const label = (key) => (FIELDS.includes(key) ? t(`server.${key}`) : key);

function shown(value) {
  return value ? name(value) : "–";
}

/** All that is known of a server. */
export function facts(server) {
  return ["serverId", ...FIELDS].filter((key) => server[key]).map((key) => [h("dt", null, key === "serverId" ? t("server.serverId") : label(key)), h("dd", null, name(server[key]))]);
}
