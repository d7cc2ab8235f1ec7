// What the pages say, in the reader's language.

// Direction marks in what somebody else chose could turn a sentence round.
const MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

let dictionaries = {};
let language = "en";
let plural = new Intl.PluralRules("en");

/** Dictionaries by language; the first is the one to fall back to. */
export function begin(all, wanted) {
  dictionaries = all;
  const known = Object.keys(all);
  const liked = [wanted, ...navigator.languages].filter(Boolean);
  language = liked.map((one) => one.toLowerCase().split("-")[0]).find((one) => known.includes(one)) ?? known[0];
  plural = new Intl.PluralRules(language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : language;
}

export function spoken() {
  return language;
}

/**
 * The words for a key; `{name}` stands for a value, kept apart from the sentence around it. With `n`, `key.one` or `key.other`.
 */
export function t(key, values = {}) {
  const words = dictionaries[language];
  const form = "n" in values ? `${key}.${plural.select(values.n)}` : key;
  const text = words[form] ?? words[`${key}.other`] ?? words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? part(values[name]) : whole));
}

function part(value) {
  if (typeof value === "number") return value.toLocaleString(language);
  return `\u2068${String(value).replace(MARKS, "")}\u2069`;
}

const format = (options) => new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", options);

export function clock(ms) {
  return format({ hour: "2-digit", minute: "2-digit" }).format(ms);
}

export function moment(ms) {
  return format({ dateStyle: "medium", timeStyle: "short" }).format(ms);
}

/** To the second. */
export function second(ms) {
  return format({ dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

/** A day's own number, in the reader's time. */
export function dayOf(ms) {
  const date = new Date(ms);
  return date.getFullYear() * 10000 + (date.getMonth() + 1) * 100 + date.getDate();
}

export function day(ms) {
  const today = dayOf(Date.now());
  if (dayOf(ms) === today) return t("day.today");
  if (dayOf(ms) === dayOf(Date.now() - 864e5)) return t("day.yesterday");
  const year = new Date(ms).getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return format({ weekday: "long", day: "numeric", month: "long", year }).format(ms);
}

/** For a list: the time of today, else the day. */
export function short(ms) {
  if (dayOf(ms) === dayOf(Date.now())) return clock(ms);
  if (dayOf(ms) === dayOf(Date.now() - 864e5)) return t("day.yesterday");
  if (Date.now() - ms < 6 * 864e5) return format({ weekday: "short" }).format(ms);
  return format({ day: "numeric", month: "numeric", year: "2-digit" }).format(ms);
}

export function bytes(count) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let power = 0;
  let left = count;
  while (left >= 1000 && power < units.length - 1) {
    left /= 1024;
    power += 1;
  }
  const digits = power === 0 || left >= 100 ? 0 : 1;
  return `${left.toLocaleString(language, { maximumFractionDigits: digits })} ${units[power]}`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
