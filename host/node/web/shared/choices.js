// What the reader has chosen for this browser, language and theme among it, kept in its vault.

import { NoVault, Vault } from "./vault.js";
import { begin } from "./words.js";

/** The vault; where the browser keeps nothing, the page's memory. */
export const openVault = () => Vault.open().catch(() => new NoVault());

/** The choices that were kept, shown at once. `dictionaries` by language. */
export async function restore(vault, dictionaries) {
  const choices = (await vault.get("choices")) ?? {};
  show(choices, dictionaries);
  return choices;
}

/** Makes a choice: kept, and shown at once. */
export async function choose(vault, dictionaries, choices, choice) {
  Object.assign(choices, choice);
  await vault.put("choices", choices);
  show(choices, dictionaries);
}

function show({ language, theme = "auto" }, dictionaries) {
  begin(dictionaries, language);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
