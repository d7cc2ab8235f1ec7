// The audit log: searched, read, exported, verified. Nothing here changes anything.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { note } from "../../shared/dialog.js";
import { second, t } from "../../shared/words.js";
import { carry, empty, head, number, refusal, row, table, tag, when } from "../say.js";

const PAGE = 50;
/** Records of an export, and of one call for it. */
const EXPORT_MAX = 100_000;
const EXPORT_PAGE = 1000;
const HOUR_MS = 3_600_000;
const SPANS = { hour: HOUR_MS, day: 24 * HOUR_MS, week: 168 * HOUR_MS, all: 0 };
const OUTCOMES = ["allowed", "rewritten", "denied", "rejected", "held", "failed"];
const KIND = { denied: "bad", rejected: "bad", failed: "bad", held: "warn", rewritten: "warn", allowed: "good" };

export class Audit {
  records = [];

  constructor(app) {
    this.app = app;
    const text = (key) => h("input", { type: "search", maxlength: "256", placeholder: t(`audit.${key}`), "aria-label": t(`audit.${key}`), spellcheck: "false" });
    const choice = (label, options) => h("select", { "aria-label": label, onchange: () => this.search() }, options.map(([value, words]) => h("option", { value }, words)));
    this.span = choice(t("audit.span"), Object.keys(SPANS).map((key) => [key, t(`span.${key}`)]));
    this.span.value = "all";
    this.outcome = choice(t("audit.outcome"), [["", t("audit.anyoutcome")], ...OUTCOMES.map((one) => [one, t(`outcome.${one}`)])]);
    this.fields = { user: text("user"), peer: text("peer"), operation: text("operation"), text: text("text") };
    this.go = h("button", { type: "submit", class: "primary" }, icon("search"), t("audit.search"));
    this.headings = [t("audit.time"), t("audit.operation"), t("audit.outcome"), t("audit.actor"), t("audit.target"), t("audit.peer"), ""];
    this.body = h("tbody");
    this.none = h("div");
    this.size = h("p", { class: "hint", role: "status" });
    this.older = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.page(this.older) }, t("audit.older"));
    this.found = h("div");
    this.verifying = h("button", { type: "button", class: "primary", onclick: () => this.verify() }, icon("lock"), t("audit.verify"));
    this.exporting = h("button", { type: "button", class: "quiet", onclick: () => this.export() }, icon("download"), t("audit.export"));
    const form = h("form", { class: "audit-form", onsubmit: (event) => { event.preventDefault(); this.search(); } }, this.span, this.outcome, Object.values(this.fields), this.go);
    this.element = h("div", { class: "stack" }, head(t("page.audit"), t("audit.hint"), this.exporting, this.verifying), this.found,
      h("section", { class: "panel audit-log" }, form, this.size, table(this.headings, this.body), this.none, h("div", { class: "buttons center" }, this.older)));
    this.search();
  }

  query(limit, before) {
    const given = Object.entries(this.fields).map(([key, input]) => [key, input.value.trim()]);
    const from = SPANS[this.span.value] > 0 ? String(this.from ?? 0) : "";
    const parts = [...given, ["outcome", this.outcome.value], ["from_ms", from], ["limit", String(limit)], ["before", before === undefined ? "" : String(before)]];
    return `audit?${parts.filter(([, value]) => value).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&")}`;
  }

  async search() {
    this.from = Date.now() - SPANS[this.span.value];
    this.records = [];
    this.none.replaceChildren();
    this.body.replaceChildren();
    await this.page(this.go);
    fill(this.none, this.records.length === 0 && empty("search", t("audit.none")));
  }

  async page(button) {
    const answer = await carry(button, () => this.app.api.get(this.query(PAGE, this.records.at(-1)?.index)));
    if (!answer) return;
    this.records.push(...answer.records);
    this.body.append(...answer.records.flatMap((record) => this.record(record)));
    this.older.hidden = answer.records.length < PAGE;
    this.size.textContent = t("audit.shown", { n: this.records.length, size: answer.size });
  }

  record(record) {
    const details = h("tr", { class: "details", hidden: true });
    const toggle = h("button", { type: "button", class: "plain round", "aria-expanded": "false", "aria-label": t("audit.details", { n: record.index }), onclick: () => {
      details.hidden = !details.hidden;
      toggle.setAttribute("aria-expanded", String(!details.hidden));
      if (!details.hidden && !details.firstChild) fill(details, h("td", { colspan: "7" }, this.details(record)));
    } }, icon("down"));
    const line = row(this.headings, [
      h("div", null, when(record.time_ms, second), h("small", null, `#${record.index}`)),
      h("code", null, record.operation),
      tag(OUTCOMES.includes(record.outcome) ? t(`outcome.${record.outcome}`) : record.outcome, KIND[record.outcome] ?? ""),
      record.actor ? name(record.actor) : "–", record.target ? name(record.target) : "–", record.peer ? name(record.peer) : "–", toggle,
    ], { dataset: { record: record.index } });
    return [line, details];
  }

  details(record) {
    const fact = (term, value) => value && [h("dt", null, term), h("dd", null, value)];
    return h("div", { class: "record" },
      h("dl", { class: "facts" },
        fact(t("audit.id"), h("code", null, record.id)), fact(t("audit.direction"), t(`direction.${record.direction}`)), fact(t("audit.code"), String(record.code)),
        fact(t("audit.severity"), record.severity), fact(t("audit.generation"), record.generation > 0 && number(record.generation)),
        Object.entries(record.fields ?? {}).map(([key, value]) => fact(name(key), name(typeof value === "string" ? value : JSON.stringify(value)))),
        record.labels?.length > 0 && fact(t("audit.labels"), name(record.labels.join(", ")))),
      record.steps?.length > 0 && h("ol", { class: "steps" }, record.steps.map((step) => h("li", null, h("strong", null, name(step.plugin)), tag(step.verdict, { deny: "bad", reject: "bad", hold: "warn", rewrite: "warn" }[step.verdict]), step.reason && name(step.reason), h("small", null, t("micros", { n: step.micros })), step.fault && h("small", { class: "wrong" }, step.fault)))));
  }

  async verify() {
    fill(this.found, h("section", { class: "panel verdict" }, h("span", { class: "spinner" }), h("p", null, t("audit.verifying"))));
    const found = await carry(this.verifying, () => this.app.api.post("audit/verify"));
    fill(this.found, found && this.verdict(found));
  }

  verdict(found) {
    const fact = (term, value) => [h("dt", null, term), h("dd", null, value)];
    return h("section", { class: ["panel", "verdict", found.whole ? "whole" : "broken"], role: "status" },
      icon(found.whole ? "admin" : "refused"),
      h("div", null,
        h("h2", null, t(found.whole ? "audit.whole" : "audit.broken")),
        h("dl", { class: "facts" }, fact(t("audit.origin"), name(found.origin)), fact(t("audit.size"), number(found.size)), fact(t("audit.root"), h("code", null, found.root)),
          fact(t("audit.matching"), t("audit.match", { n: found.records, erased: found.erased })), found.witnesses.length > 0 && fact(t("audit.witnesses"), name(found.witnesses.join(", ")))),
        found.problems.length > 0 && h("ul", { class: "diagnostics" }, found.problems.map((one) => h("li", null, name(`${one.file}${one.index === null || one.index === undefined ? "" : ` #${one.index}`}: ${one.what}`)))),
        h("p", { class: "hint" }, t("audit.alone"))));
  }

  /** Everything that fits, one record a line (JSON Lines). */
  async export() {
    const lines = [];
    const done = await carry(this.exporting, async () => {
      let before;
      while (lines.length < EXPORT_MAX) {
        const { records } = await this.app.api.get(this.query(EXPORT_PAGE, before));
        lines.push(...records.map((record) => JSON.stringify(record)));
        if (records.length < EXPORT_PAGE) return true;
        before = records.at(-1).index;
      }
      note(t("audit.cut", { n: EXPORT_MAX }));
      return true;
    }).catch((error) => note(refusal(error), "bad"));
    if (!done) return;
    const url = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "application/jsonl" }));
    h("a", { href: url, download: `audit-${this.app.what}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    note(t("audit.exported", { n: lines.length }));
  }
}
