// Lists, changed in place: what is added and removed is shown first, and takes effect together, without another generation.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { sure } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { actor, carry, empty, head, number, panel, tag, when } from "../say.js";

/** Entries shown at once; the rest is found by search. */
const SHOWN = 500;

export class Lists {
  lists = [];
  added = new Set();
  removed = new Set();

  constructor(app) {
    this.app = app;
    this.names = h("ul", { class: "list-names" });
    this.one = h("div", { class: "stack" });
    this.element = h("div", { class: "stack" }, head(t("page.lists"), t("lists.hint")), h("div", { class: "lists-frame" }, h("section", { class: "panel" }, this.names), this.one));
  }

  async tick() {
    const answer = await carry(undefined, () => this.app.api.get("policy/lists"));
    if (!answer) return;
    this.lists = answer.lists;
    this.drawNames();
    if (!this.list && this.lists.length > 0) await this.open(this.lists[0].name);
    if (this.lists.length === 0) fill(this.one, panel(undefined, empty("list", t("lists.none"))));
  }

  drawNames() {
    fill(this.names, this.lists.map((list) => h("li", null, h("button", { type: "button", "aria-current": list.name === this.list?.name ? "true" : null, dataset: { list: list.name }, onclick: () => this.open(list.name) },
      h("span", null, name(list.name)), h("small", null, number(list.size))))));
  }

  get changes() {
    return this.added.size + this.removed.size;
  }

  async open(wanted) {
    if (this.changes > 0 && !(await sure({ title: t("lists.leave"), text: t("lists.leavehint", { n: this.changes }), yes: t("lists.discard") }))) return;
    const list = await carry(undefined, () => this.app.api.get(`policy/lists/${segment(wanted)}`));
    if (!list) return;
    this.list = list;
    this.added.clear();
    this.removed.clear();
    this.drawNames();
    this.draw();
  }

  draw() {
    const { list } = this;
    this.search = h("input", { type: "search", placeholder: t("lists.search"), "aria-label": t("lists.search"), oninput: () => this.drawEntries() });
    this.fresh = h("textarea", { rows: "1", placeholder: t("lists.add"), "aria-label": t("lists.add"), class: "code", spellcheck: "false", onkeydown: (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.add();
    } });
    this.entries = h("ul", { class: "entries" });
    this.rest = h("p", { class: "hint" });
    this.save = h("form", { class: "save", hidden: true, onsubmit: (event) => { event.preventDefault(); this.commit(); } });
    const reset = h("button", { type: "button", class: "quiet short", onclick: () => this.reset() }, icon("undo"), t("lists.reset"));
    fill(this.one,
      h("section", { class: "panel" },
        h("div", { class: "line spread" }, h("h2", null, name(list.name), " ", tag(list.of_bundle ? t("lists.ofbundle") : t("lists.changed"), list.of_bundle ? "" : "warn")), !list.of_bundle && reset),
        h("div", { class: "filter" }, this.search),
        h("div", { class: "line add" }, this.fresh, h("button", { type: "button", class: "quiet", onclick: () => this.add() }, icon("add"), t("lists.put"))),
        this.entries, this.rest, this.save),
      list.edits.length > 0 && panel(t("lists.edits"), h("ol", { class: "edits" }, list.edits.toReversed().slice(0, 20).map((edit) => this.edit(edit)))));
    this.drawEntries();
  }

  drawEntries() {
    const wanted = this.search.value.trim().toLowerCase();
    const fits = (entry) => entry.toLowerCase().includes(wanted);
    const all = [...[...this.added].map((entry) => [entry, "added"]), ...this.list.entries.map((entry) => [entry, this.removed.has(entry) ? "removed" : ""])].filter(([entry]) => fits(entry));
    fill(this.entries, all.slice(0, SHOWN).map(([entry, kind]) => h("li", { class: kind || null }, name(entry),
      h("button", { type: "button", class: "plain round", "aria-label": t(kind ? "lists.keep" : "lists.remove", { entry }), onclick: () => this.toggle(entry, kind) }, icon(kind ? "undo" : "close")))));
    if (all.length === 0) fill(this.entries, h("li", { class: "none" }, t(wanted ? "lists.nothing" : "lists.empty")));
    this.rest.textContent = all.length > SHOWN ? t("lists.more", { n: all.length - SHOWN }) : "";
    this.drawSave();
  }

  drawSave() {
    const open = this.changes > 0;
    if (open && this.save.hidden) {
      this.why = h("input", { required: true, maxlength: "200", "aria-label": t("why"), placeholder: t("lists.why") });
      this.sum = h("strong", { role: "status" });
      this.button = h("button", { type: "submit", class: "primary" }, t("lists.save"));
      fill(this.save, this.sum, this.why, h("div", { class: "buttons" }, this.button, h("button", { type: "button", class: "quiet", onclick: () => this.discard() }, t("lists.discard"))));
    }
    this.save.hidden = !open;
    if (open) this.sum.textContent = t("lists.sum", { added: this.added.size, removed: this.removed.size });
  }

  discard() {
    this.added.clear();
    this.removed.clear();
    this.drawEntries();
  }

  add() {
    const known = new Set(this.list.entries);
    for (const line of this.fresh.value.split("\n")) {
      const entry = line.trim();
      if (!entry) continue;
      this.removed.delete(entry);
      if (!known.has(entry)) this.added.add(entry);
    }
    this.fresh.value = "";
    this.fresh.focus();
    this.drawEntries();
  }

  toggle(entry, kind) {
    if (kind === "added") this.added.delete(entry);
    else if (kind === "removed") this.removed.delete(entry);
    else this.removed.add(entry);
    this.drawEntries();
  }

  /** One call: either all of it takes effect or nothing does. */
  async commit() {
    const { list, added, removed } = this;
    const change = removed.size === 0 ? { add: [...added] } : added.size === 0 ? { remove: [...removed] } : { set: [...list.entries.filter((entry) => !removed.has(entry)), ...added] };
    const done = await carry(this.button, () => this.app.api.post(`policy/lists/${segment(list.name)}`, { ...change, why: this.why.value, revision: list.revision }), ({ micros }) => t("lists.saved", { ms: number(micros / 1000, 1) }));
    if (done) await this.reload();
  }

  async reset() {
    if (!(await sure({ title: t("lists.reset"), text: t("lists.resethint"), yes: t("lists.reset") }))) return;
    const done = await carry(undefined, () => this.app.api.post(`policy/lists/${segment(this.list.name)}`, { reset: true, why: t("lists.reset"), revision: this.list.revision }), t("lists.didreset"));
    if (done) await this.reload();
  }

  async reload() {
    this.added.clear();
    this.removed.clear();
    await this.open(this.list.name);
    await this.tick();
  }

  edit(edit) {
    const some = (entries, all) => [name(entries.join(", ")), all > entries.length && ` +${number(all - entries.length)}`];
    return h("li", null,
      h("div", null, edit.added > 0 && h("p", { class: "good-text" }, "+ ", some(edit.some_added, edit.added)), edit.removed > 0 && h("p", { class: "wrong" }, "− ", some(edit.some_removed, edit.removed))),
      h("small", null, when(edit.at_ms), " · ", actor(edit.by), edit.why && [" · ", name(edit.why)]));
  }
}
