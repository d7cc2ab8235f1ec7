// How the server fares, live.

import { fill, h, name } from "../../shared/dom.js";
import { bytes, t } from "../../shared/words.js";
import { bar, Chart } from "../chart.js";
import { ago, number, panel, row, table, tag, tile } from "../say.js";

/** Of the figures that were fetched, what the chart shows. */
const SPAN_MS = 5 * 60_000;
/** Counters are compared over this. */
const WINDOW_MS = 10_000;
/** Kept while the reader looks at other pages. */
const samples = [];

export class Overview {
  every = 2000;

  constructor(app) {
    this.app = app;
    this.tiles = h("div", { class: "tiles", role: "status" });
    this.chart = new Chart({ names: ["sent", "received", "delivered"].map((key) => t(`overview.${key}`)), spanMs: SPAN_MS, label: (value) => t("persecond", { value: number(value, value < 10 ? 1 : 0) }) });
    this.plugins = h("tbody");
    this.headings = ["plugin", "hooks", "calls", "time", "slow", "verdicts", "state"].map((key) => t(`overview.${key}`));
    this.disk = h("div", { class: "disk" });
    this.since = h("p");
    this.element = h("div", { class: "stack" },
      h("header", { class: "page-head" }, h("div", null, h("h1", null, t("page.overview")), this.since)),
      this.tiles,
      panel(t("overview.messages"), this.chart.element),
      panel(t("overview.policy"), this.generation = h("p", { class: "hint" }), table(this.headings, this.plugins)),
      panel(t("overview.disk"), this.disk));
  }

  async tick() {
    let now;
    try {
      now = await this.app.api.poll("figures");
    } catch {
      this.tiles.classList.add("stale");
      return;
    }
    this.tiles.classList.remove("stale");
    if (samples.at(-1)?.sinceMs !== now.sinceMs || samples.at(-1)?.serverId !== now.serverId) samples.length = 0;
    samples.push(now);
    while (samples[0].atMs < now.atMs - SPAN_MS - WINDOW_MS) samples.shift();
    this.draw(now);
  }

  /** What was counted in the last seconds, per second. */
  rate(at, of) {
    const now = samples[at];
    const before = samples.slice(0, at + 1).findLast((one) => one.atMs <= now.atMs - WINDOW_MS) ?? samples[0];
    const seconds = (now.atMs - before.atMs) / 1000;
    return seconds > 0 ? Math.max(0, of(now) - of(before)) / seconds : 0;
  }

  draw(now) {
    const last = samples.length - 1;
    const messages = this.rate(last, ({ messages: { sent, received } }) => sent + received);
    const behind = now.store.auditSize - now.store.auditCheckpoint;
    fill(this.since, t("overview.since"), " ", ago(now.sinceMs));
    fill(this.tiles,
      tile(t("overview.rate"), number(messages, messages < 10 ? 1 : 0), t("overview.total", { n: now.messages.sent + now.messages.received })),
      tile(t("overview.peers"), `${now.peers.known - now.peers.down} / ${now.peers.known}`, now.peers.down > 0 ? t("overview.down", { n: now.peers.down }) : t("overview.allup"), now.peers.down > 0 && "warn"),
      tile(t("overview.lanes"), number(now.lanes), now.lanes > 0 ? t("overview.waiting") : t("overview.nonewaiting")),
      tile(t("overview.devices"), number(now.devices), t("overview.connections", { n: now.connections.client + now.connections.interconnect })),
      tile(t("overview.audit"), number(now.store.auditSize), behind > 0 ? t("overview.unsigned", { n: behind }) : t("overview.signed")),
      tile(t("overview.faults"), number(now.faults), now.store.failed ? t("overview.failed") : now.faults > 0 ? t("overview.seelog") : t("overview.healthy"), (now.faults > 0 || now.store.failed) && "bad"));
    const line = (of) => samples.map((one, at) => [one.atMs, this.rate(at, of)]).slice(1);
    this.chart.draw([line(({ messages: m }) => m.sent), line(({ messages: m }) => m.received), line(({ messages: m }) => m.delivered)], now.atMs);
    fill(this.generation, t("overview.generation", { n: now.policy.generation, name: now.policy.name }));
    fill(this.plugins, now.policy.plugins.map((plugin) => this.plugin(plugin, last)));
    const parts = [["database", now.disk.database], ["files", now.disk.files], ["audit", now.disk.audit], ["other", Math.max(0, now.disk.all - now.disk.database - now.disk.files - now.disk.audit)]];
    const commits = this.rate(last, ({ store }) => store.commits);
    fill(this.disk, h("p", { class: "big" }, bytes(now.disk.all)), bar(parts.map(([, value]) => ({ value }))),
      h("ul", { class: "legend" }, parts.map(([key, value], n) => h("li", null, h("i", { class: `dot dot-${n}` }), t(`overview.${key}`), h("strong", null, bytes(value))))),
      h("p", { class: "hint" }, t("overview.commits", { rate: number(commits, 1), ms: number(now.store.commits > 0 ? now.store.commitMicros / now.store.commits / 1000 : 0, 2) })));
  }

  plugin({ name: title, hooks, state, last_fault: fault, stats }, last) {
    const of = (one) => one.policy.plugins.find((plugin) => plugin.name === title)?.stats;
    const calls = this.rate(last, (one) => of(one)?.calls ?? 0);
    const micros = this.rate(last, (one) => of(one)?.micros ?? 0);
    const mean = calls > 0 ? micros / calls : stats.calls > 0 ? stats.micros / stats.calls : 0;
    return row(this.headings, [
      h("strong", null, name(title)),
      h("span", { class: "tags" }, hooks.map((hook) => tag(t(`hook.${hook}`)))),
      h("span", null, t("persecond", { value: number(calls, 1) }), h("small", null, ` ${number(stats.calls)}`)),
      t("micros", { n: number(mean, 1) }),
      slowest(stats.histogram),
      h("span", { class: "tags" }, stats.verdicts.filter(([, n]) => n > 0).map(([verdict, n]) => tag(`${said(verdict)} ${number(n)}`, KIND[verdict]))),
      state === "ready" ? tag(t("state.ready"), "good") : h("span", { title: fault ?? "" }, tag(state, "bad")),
    ]);
  }
}

const VERDICTS = new Set(["allow", "deny", "abstain", "pass", "reject", "rewrite", "hold", "fault", "treat"]);
const said = (verdict) => (VERDICTS.has(verdict) ? t(`verdict.${verdict}`) : verdict);
const KIND = { deny: "bad", reject: "bad", fault: "bad", hold: "warn", rewrite: "warn" };
/** Bounds of the histogram, in microseconds. */
const BOUNDS = [5, 10, 20, 35, 50, 100, 250, 1000, 2500, 10_000, 50_000, 250_000];

/** Under what 99 of 100 calls stayed. */
function slowest(histogram) {
  const all = histogram.reduce((sum, n) => sum + n, 0);
  if (all === 0) return "–";
  let seen = 0;
  const at = histogram.findIndex((n) => (seen += n) >= all * 0.99);
  const bound = BOUNDS[at];
  return bound === undefined ? t("overview.over", { ms: number(BOUNDS.at(-1) / 1000) }) : bound < 1000 ? `≤ ${t("micros", { n: number(bound) })}` : `≤ ${t("millis", { n: number(bound / 1000, 1) })}`;
}
