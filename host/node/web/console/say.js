// What went wrong, and other sentences that several pages say.

import { h, name } from "../shared/dom.js";
import { icon } from "./icons.js";
import { note } from "../shared/dialog.js";
import { moment, spoken, t } from "../shared/words.js";

/** A server renews its certificate at half of its seven days: one that has less than this left has not managed to. */
export const SOON_MS = 2 * 86_400_000;

/** Why a call was not carried out. The server's own words say it best where there are some. */
export function refusal(error) {
  if (error.status === 0) return t("wrong.away");
  if (error.status === 429) return t("login.later");
  if (error.status === 403) return t("wrong.role");
  if (error.code === 1202) return `${t("wrong.state")} ${error.message}`;
  return error.message || t("wrong.other");
}

/** Carries out an act with a busy button, and says what came of it. */
export async function carry(button, work, done) {
  if (button?.getAttribute("aria-busy") === "true") return undefined;
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await work();
    // Told once a dialog that this ends is closed, or the note would go with it.
    if (done) setTimeout(() => note(typeof done === "function" ? done(answer) : done));
    return answer;
  } catch (error) {
    if (error.status !== 401) note(refusal(error), "bad");
    return undefined;
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

export function head(title, hint, ...actions) {
  return h("header", { class: "page-head" }, h("div", null, h("h1", null, title), hint && h("p", null, hint)), h("div", { class: "buttons" }, actions));
}

export function panel(title, ...children) {
  return h("section", { class: "panel" }, title && h("h2", null, title), children);
}

export function empty(drawn, text) {
  return h("p", { class: "nothing" }, icon(drawn), text);
}

export function tag(text, kind = "") {
  return h("span", { class: ["tag", kind] }, text);
}

export function digest(text) {
  return h("code", { title: text }, text.slice(0, 12));
}

/** `admin:secadmin` as people read it. */
export function actor(text) {
  return name(text.replace(/^admin:/, ""));
}

/** A table that becomes cards on a phone: each cell knows its heading. */
export function table(headings, body) {
  return h("div", { class: "table" }, h("table", null, h("thead", null, h("tr", null, headings.map((text) => h("th", { scope: "col" }, text || h("span", { class: "unseen" }, t("actions")))))), body));
}

export function row(headings, cells, attributes) {
  return h("tr", attributes, cells.map((cell, n) => h("td", { "data-of": headings[n] || null }, cell)));
}

/** How long ago, roughly; the moment itself as its title. */
export function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  const format = new Intl.RelativeTimeFormat(spoken() === "zh" ? "zh-CN" : "en-GB", { numeric: "auto", style: "short" });
  const [n, unit] = seconds < 60 ? [seconds, "second"] : seconds < 3600 ? [Math.round(seconds / 60), "minute"] : seconds < 86_400 ? [Math.round(seconds / 3600), "hour"] : [Math.round(seconds / 86_400), "day"];
  return h("time", { title: moment(ms), datetime: new Date(ms).toISOString() }, format.format(-n, unit));
}

export function when(ms, say = moment) {
  return h("time", { datetime: new Date(ms).toISOString() }, say(ms));
}

/** A form in a dialog: labelled fields, one act. */
export function field(label, input, hint) {
  return h("label", null, label, input, hint && h("small", null, hint));
}

export const number = (n, digits = 0) => n.toLocaleString(spoken(), { maximumFractionDigits: digits });

/** One figure. */
export function tile(title, figure, hint, kind) {
  return h("div", { class: ["tile", kind] }, h("h2", null, title), h("p", { class: "figure" }, figure), h("small", null, hint));
}
