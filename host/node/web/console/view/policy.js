// The life of policies: what is in force, what waits, what differs, how a candidate would judge, and the way back.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { dialog, menu } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { actor, carry, digest, empty, field, head, number, panel, refusal, row, table, tag, when } from "../say.js";

/** Bytes of an upload; the server takes no more. */
const UPLOAD_MAX = 22 << 20;
const STATES = { active: "good", kept: "", broken: "bad", tripped: "bad" };

export class Policy {
  every = 5000;

  constructor(app) {
    this.app = app;
    this.decides = app.role === "security";
    this.now = h("div");
    this.staged = h("div");
    this.shadow = h("div");
    this.reading = new Set();
    this.headings = [t("policy.number"), t("policy.bundle"), t("policy.when"), t("policy.why"), t("policy.state"), ""];
    this.past = h("tbody");
    this.element = h("div", { class: "stack" },
      head(t("page.policy"), t("policy.hint"), this.decides && this.upload()),
      panel(t("policy.now"), this.now), this.staged, this.shadow, panel(t("policy.history"), table(this.headings, this.past)));
  }

  async tick() {
    const { api } = this.app;
    let shown;
    let history;
    try {
      [shown, history] = await Promise.all([api.poll("policy"), api.poll("policy/history")]);
    } catch {
      return;
    }
    const report = await api.poll("policy/shadow").catch(() => undefined);
    const sign = JSON.stringify([shown.generation, shown.lists_revision, history, shown.plugins.map(({ state }) => state)]);
    if (sign !== this.sign) {
      this.sign = sign;
      this.active = shown.generation;
      this.draw(shown, history);
    }
    const of = report && JSON.stringify({ ...report, until_ms: undefined });
    if (of !== this.report) {
      this.report = of;
      fill(this.shadow, report && this.rehearsal(report));
    }
  }

  /** Without waiting for the next turn. */
  async again() {
    this.sign = this.report = undefined;
    await this.tick();
  }

  draw(shown, { history, staged = [] }) {
    fill(this.now,
      h("div", { class: "in-force" },
        h("p", { class: "big" }, t("policy.generation", { n: shown.generation })),
        h("dl", { class: "facts" },
          fact(t("policy.bundle"), h("span", null, name(shown.name), " ", digest(shown.digest))), fact(t("policy.when"), when(shown.at_ms)), fact(t("policy.by"), actor(shown.by)),
          shown.why && fact(t("policy.why"), name(shown.why)), fact(t("policy.default"), t(`access.${shown.default_access}`)))),
      shown.fallen_back?.length > 0 && diagnostics(shown.fallen_back.join("\n")),
      h("ol", { class: "chain" }, shown.plugins.map((plugin) => h("li", { class: plugin.state === "ready" ? null : "bad" },
        h("strong", null, name(plugin.name)), h("small", null, name(plugin.component)), h("span", { class: "tags" }, plugin.hooks.map((hook) => tag(t(`hook.${hook}`))), plugin.state !== "ready" && tag(plugin.state, "bad")), plugin.last_fault && h("small", { class: "wrong" }, plugin.last_fault)))));
    fill(this.staged, this.decides && staged.length > 0 && panel(t("policy.staged"), h("ul", { class: "staged" }, staged.toReversed().map((one) => this.candidate(one)))));
    fill(this.past, history.toReversed().map((entry) => this.entry(entry)));
  }

  candidate(one) {
    const source = { staged: one.digest };
    const button = (key, drawn, act, kind = "quiet") => {
      const made = h("button", { type: "button", class: [kind, "short"], onclick: () => act(made) }, icon(drawn), t(key));
      return made;
    };
    return h("li", { dataset: { staged: one.digest } },
      h("div", null, h("strong", null, name(one.name)), " ", digest(one.digest), h("small", null, when(one.at_ms), " · ", actor(one.by), one.why && [" · ", name(one.why)])),
      h("div", { class: "buttons" },
        button("policy.compare", "copy", (made) => this.compare(made, "active", `staged:${one.digest}`)),
        button("policy.try", "play", (made) => this.rehearse(made, source)),
        button("policy.shadow", "clock", async (made) => (await carry(made, () => this.app.api.post("policy/shadow", source), t("shadow.began"))) && this.again()),
        button("policy.activate", "kept", () => this.swap("policy/activate", source, t("policy.activate"), t("policy.activatehint", { name: one.name })), "primary")));
  }

  entry(entry) {
    const more = h("button", { type: "button", class: "plain round", "aria-label": t("policy.acts", { n: entry.number }), "aria-haspopup": "menu", onclick: () => menu(more, [
      entry.number !== this.active && { label: t("policy.compare"), icon: "copy", act: () => this.compare(undefined, String(entry.number), "active") },
      this.decides && entry.number !== this.active && entry.state !== "broken" && { label: t("policy.rollback"), icon: "undo", act: () => this.swap("policy/rollback", { to: entry.number }, t("policy.rollback"), t("policy.rollbackhint", { n: entry.number })) },
    ]) }, icon("more"));
    return row(this.headings, [
      h("strong", null, number(entry.number)),
      h("div", null, name(entry.name), " ", digest(entry.digest), entry.restores !== undefined && h("small", null, t("policy.restores", { n: entry.restores }))),
      h("div", null, when(entry.at_ms), h("small", null, actor(entry.by))),
      entry.why ? name(entry.why) : "–",
      h("div", null, tag(t(`generation.${entry.state}`), STATES[entry.state]), entry.trip && h("small", { class: "wrong" }, t("policy.trip", { plugin: entry.trip.plugin, n: entry.trip.faults }))),
      entry.number === this.active ? null : more,
    ], { dataset: { generation: entry.number } });
  }

  /** Swaps a policy in, with the reason that is recorded. */
  swap(path, source, title, hint) {
    const why = h("input", { required: true, maxlength: "200" });
    const wrong = h("div");
    const button = h("button", { type: "submit", form: "swap", class: "primary" }, title);
    const body = h("form", { id: "swap", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      fill(wrong);
      button.setAttribute("aria-busy", "true");
      try {
        const done = await this.app.api.post(path, { ...source, why: why.value });
        opened.close();
        result(t("policy.done", { n: done.number }), t(done.drained ? "policy.drained" : "policy.notdrained", { ms: number(done.micros / 1000, 1) }));
        await this.again();
      } catch (error) {
        fill(wrong, diagnostics(refusal(error)));
      } finally {
        button.removeAttribute("aria-busy");
      }
    } }, h("p", null, hint), field(t("why"), why), wrong);
    const opened = dialog({ title, body, actions: [button], kind: "small" });
  }

  async compare(button, from, to) {
    const answer = await carry(button, () => this.app.api.get(`policy/diff?from=${segment(from)}&to=${segment(to)}`));
    if (!answer) return;
    const title = (what) => (/^generation \d+$/.test(what) ? t("policy.generation", { n: Number(what.slice("generation ".length)) }) : t("policy.staged"));
    const side = ({ what, name: of, digest: hash }) => h("div", null, h("strong", null, title(what)), h("small", null, name(of), " ", digest(hash)));
    dialog({ title: t("policy.compare"), wide: true, body: [
      h("div", { class: "sides" }, side(answer.from), icon("send"), side(answer.to)),
      answer.changes.length === 0 ? empty("kept", t("policy.same")) : h("ul", { class: "changes" }, answer.changes.map((change) => h("li", null, tag(t(`change.${change.kind}`)), h("span", null, name(change.words))))),
    ] });
  }

  /** The bundle's own cases. */
  async rehearse(button, source) {
    const report = await carry(button, () => this.app.api.post("policy/canary", source));
    if (!report) return;
    const failed = report.cases.filter(({ differs }) => differs?.length > 0).length;
    dialog({ title: t("policy.try"), wide: true, body: [
      h("p", { class: failed > 0 ? "wrong" : "good-text" }, report.cases.length === 0 ? t("policy.nocases") : t("policy.cases", { n: report.cases.length, failed })),
      h("ul", { class: "changes" }, report.cases.map((one) => h("li", null, tag(one.differs?.length > 0 ? t("policy.differs") : t("policy.asexpected"), one.differs?.length > 0 ? "bad" : "good"), h("span", null, name(one.name ?? "?"), h("small", null, (one.differs ?? []).join("; ")))))),
      found(report.diagnostics),
    ] });
  }

  rehearsal(report) {
    const { comparison } = report;
    const stop = h("button", { type: "button", class: "quiet short", onclick: async () => (await carry(stop, () => this.app.api.post("policy/shadow/stop"), t("shadow.ended"))) && this.again() }, icon("stop"), t("shadow.stop"));
    const counts = ["judged", "agreed", "disagreed", "failed"].map((key) => h("div", { class: ["tile", key === "disagreed" && comparison[key] > 0 && "warn", key === "failed" && comparison[key] > 0 && "bad"] }, h("h3", null, t(`shadow.${key}`)), h("p", { class: "figure" }, number(comparison[key]))));
    return panel(t("shadow.title"),
      h("div", { class: "line spread" }, h("p", null, tag(report.running ? t("shadow.running") : t("shadow.over"), report.running ? "good" : ""), " ", name(report.name), " ", digest(report.digest), " · ", when(report.since_ms)), this.decides && report.running && stop),
      h("div", { class: "tiles" }, counts),
      h("p", { class: "hint" }, t("shadow.micros", { active: number(comparison.micros[0], 1), candidate: number(comparison.micros[1], 1) })),
      comparison.disagreements.map((one) => this.differing(`${one.active} ${one.candidate}`, t("shadow.differ", { n: one.count, active: one.active, candidate: one.candidate }), one.examples)),
      h("h3", null, t("shadow.records")),
      h("p", { class: "hint" }, t("shadow.events", { n: report.events }), report.records.length === 0 && report.events > 0 && [" ", t("shadow.samerecords")]),
      report.records.map((one) => this.differing(`${one.what} ${one.recorded} ${one.candidate}`, t("shadow.record", { n: one.count, what: part(one.what), active: treated(one, one.recorded), candidate: treated(one, one.candidate) }), one.examples)),
      found(report.diagnostics));
  }

  /** One way in which the two differ, and cases of it; what somebody reads stays open when the report is drawn anew. */
  differing(key, words, examples) {
    const toggled = ({ target }) => (target.open ? this.reading.add(key) : this.reading.delete(key));
    return h("details", { open: this.reading.has(key), ontoggle: toggled }, h("summary", null, h("strong", null, words)),
      h("ul", { class: "changes" }, examples.map((one) => h("li", null, h("code", null, one.operation), h("span", null, name(`${one.actor ?? ""} → ${one.target ?? ""}`), " ", when(one.at_ms), one.candidate.fault && h("small", { class: "wrong" }, name(one.candidate.fault)))))));
  }

  /** A bundle's folder from this machine, or one at the server. */
  upload() {
    const button = h("button", { type: "button", class: "primary", onclick: () => this.stage() }, icon("add"), t("policy.stage"));
    return button;
  }

  stage() {
    const files = h("input", { type: "file", webkitdirectory: true, multiple: true });
    const folder = h("input", { class: "code", placeholder: "/etc/isthmus/policy", spellcheck: "false" });
    const why = h("input", { maxlength: "200" });
    const wrong = h("div");
    const button = h("button", { type: "submit", form: "stage", class: "primary" }, t("policy.check"));
    const body = h("form", { id: "stage", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      fill(wrong);
      button.setAttribute("aria-busy", "true");
      try {
        const staged = await this.send([...files.files], folder.value.trim(), why.value);
        opened.close();
        if (staged.diagnostics.length > 0) result(t("policy.didstage", { name: staged.name }), found(staged.diagnostics));
        await this.again();
      } catch (error) {
        fill(wrong, diagnostics(refusal(error)));
      } finally {
        button.removeAttribute("aria-busy");
      }
    } }, h("p", null, t("policy.stagehint")), field(t("policy.folder"), files), field(t("policy.path"), folder, t("policy.pathhint")), field(t("why"), why), wrong);
    const opened = dialog({ title: t("policy.stage"), body, actions: [button] });
  }

  async send(files, dir, why) {
    const { api } = this.app;
    if (files.length === 0) return api.post("policy/stage", { dir, why });
    if (files.reduce((sum, { size }) => sum + size, 0) > UPLOAD_MAX) throw new Error(t("policy.toolarge"));
    const inside = (file) => file.webkitRelativePath.split("/").slice(1).join("/") || file.name;
    const wanted = files.filter((file) => !inside(file).split("/").some((part) => part.startsWith(".")));
    const sent = await Promise.all(wanted.map(async (file) => ({ path: inside(file), base64: await base64(file) })));
    return api.post("policy/upload", { files: sent, why });
  }
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** A record's part, and what becomes of it. */
const part = (what) => (["actor", "target", "severity", "sinks", "detail"].includes(what) ? t(`record.${what}`) : what);
const treated = ({ what }, how) => (what === "sinks" && how !== "none" ? how : t(`treated.${how.replace(" ", "")}`));

const fact = (term, value) => [h("dt", null, term), h("dd", null, value)];

function result(title, body) {
  const close = h("button", { type: "button", class: "primary", autofocus: true, onclick: () => opened.close() }, t("close"));
  const opened = dialog({ title, body: typeof body === "string" ? h("p", null, body) : body, actions: [close], kind: "small" });
}

/** What is wrong with a bundle, line by line. */
function diagnostics(text) {
  return h("ul", { class: "diagnostics", role: "alert" }, text.split("\n").filter(Boolean).map((line) => h("li", { class: /warning/i.test(line) ? "warn" : null }, name(line))));
}

function found(list) {
  return list.length > 0 && h("ul", { class: "diagnostics" }, list.map((one) => h("li", { class: one.severity === "warning" ? "warn" : null }, name(`${one.file}${one.line ? `:${one.line}` : ""}: ${one.message}`))));
}
