// Graded measures about one user: what holds, and taking and lifting it.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { dialog } from "../../shared/dialog.js";
import { moment, t } from "../../shared/words.js";
import { segment } from "../../shared/call.js";
import { actor, carry, empty, field, tag, when } from "../say.js";

const KINDS = ["warn", "limit", "mute", "suspend"];
const HOUR = 3_600_000;
/** How long: a limit and a mute end by their time, a suspension may last until it is lifted. */
const TERMS = { hour: HOUR, day: 24 * HOUR, week: 7 * 24 * HOUR, month: 30 * 24 * HOUR };

/** One measure as it stands with its user; the gravest holds the eye. */
export function mark(measure) {
  const text = measure.untilMs ? t("measures.until", { what: t(`measures.is.${measure.measure}`), time: moment(measure.untilMs) }) : t(`measures.is.${measure.measure}`);
  return tag(text, measure.measure === "suspend" ? "bad" : "warn");
}

export async function measures(page, user) {
  const path = `users/${segment(user.userID)}/measures`;
  const list = h("ul", { class: "devices" });
  const draw = (held) => fill(list, held.map((one) => row(one)), held.length === 0 && h("li", null, empty("kept", t("measures.none"))));
  const row = (one) => {
    const rate = one.perMinute ? ` · ${t("measures.rate", { n: one.perMinute })}` : "";
    const lift = one.measure !== "warn" && h("button", { type: "button", class: "quiet short", onclick: async () => {
      const answer = await carry(lift, () => page.app.api.post(`${path}/lift`, { measure: one.measure }), t("measures.lifted"));
      if (answer) await taken(answer);
    } }, t("measures.lift"));
    return h("li", { dataset: { measure: one.measure } }, h("div", null, h("span", { class: "tags" }, mark(one)), name(one.words), h("small", null, actor(one.by), " · ", when(one.sinceMs), rate)), lift);
  };
  const taken = async (answer) => {
    draw(answer.measures);
    await page.tick();
  };

  const kind = h("select", { onchange: () => fit() }, KINDS.map((one) => h("option", { value: one }, t(`measures.${one}`))));
  const hint = h("small");
  const term = h("select");
  const rate = h("input", { type: "number", min: "1", max: "600", value: "5", required: true });
  const words = h("textarea", { required: true, maxlength: "512", rows: "2", dir: "auto" });
  const button = h("button", { type: "submit", form: "measure", class: "primary" }, t("measures.take"));
  const [termField, rateField] = [field(t("measures.term"), term), field(t("measures.perminute"), rate)];
  const fit = () => {
    hint.textContent = t(`measures.hint.${kind.value}`);
    termField.hidden = kind.value === "warn";
    rateField.hidden = rate.disabled = kind.value !== "limit";
    const terms = [...Object.keys(TERMS), ...(kind.value === "suspend" ? ["open"] : [])];
    fill(term, terms.map((one) => h("option", { value: one }, t(`measures.term.${one}`))));
  };
  const form = h("form", { id: "measure", class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    const measure = { measure: kind.value, words: words.value.trim() };
    if (kind.value !== "warn" && term.value !== "open") measure.untilMs = Date.now() + TERMS[term.value];
    if (kind.value === "limit") measure.perMinute = Number(rate.value);
    const answer = await carry(button, () => page.app.api.post(path, measure), t("measures.took", { name: user.userID }));
    if (!answer) return;
    words.value = "";
    await taken(answer);
  } }, h("label", null, t("measures.kind"), kind, hint), rateField, termField, field(t("measures.words"), words, t("measures.wordshint")));
  fit();
  dialog({ title: t("measures.of", { name: user.userID }), body: h("div", { class: "stack" }, list, form), actions: [button], kind: "small" });
  const answer = await carry(undefined, () => page.app.api.get(path));
  if (answer) draw(answer.measures);
}
