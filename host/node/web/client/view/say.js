// Kind words for what a server said: by code, with its own words where they add something.

import { t } from "../../shared/words.js";

/** Why something did not happen, for people. */
export function refusal(error) {
  if (error.name === "AbortError") return "";
  if (error.status === 0) return t("error.unreached");
  return said(error.code, error.message ?? error.msg);
}

/** By code (R5). */
export function said(code, msg) {
  const known = [1, 1001, 1002, 1003, 1004, 1101, 1102, 1103, 1104, 1105, 1201, 1202, 1301, 1302, 1303, 1401, 1402];
  const kind = known.includes(code) ? t(`error.${code}`) : t("error.1");
  // A field's fault and a policy's reason say more than the code; the rest is for machines.
  const more = [1, 1002, 1003, 1004, 1102, 1103, 1105, 1201, 1202].includes(code) || !known.includes(code);
  return more && msg && msg !== "success" ? t("error.because", { kind, msg }) : kind;
}
