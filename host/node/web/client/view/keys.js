// The keyboard's way through the page.

import { h } from "../../shared/dom.js";
import { dialog } from "../../shared/dialog.js";
import { t } from "../../shared/words.js";

export const KEYS = [
  ["/", "keys.search"],
  ["Alt ↑ ↓", "keys.chats"],
  ["Enter", "keys.send"],
  ["Shift Enter", "keys.line"],
  ["↑", "keys.messages"],
  ["Esc", "keys.back"],
  ["?", "keys.help"],
];

let listening;

export function shortcuts(app) {
  listening?.abort();
  listening = new AbortController();
  document.addEventListener("keydown", (event) => pressed(app, event), { signal: listening.signal });
}

function pressed(app, event) {
  if (!app.model || event.isComposing || document.querySelector("dialog[open]")) return;
  const writing = event.target.closest?.("input, textarea, select");
  const { key } = event;
  if ((key === "/" && !writing && !event.ctrlKey) || (key === "k" && (event.ctrlKey || event.metaKey))) {
    event.preventDefault();
    app.chats.search();
  } else if (key === "?" && !writing) {
    help();
  } else if (event.altKey && (key === "ArrowUp" || key === "ArrowDown")) {
    event.preventDefault();
    app.chats.step(key === "ArrowDown" ? 1 : -1);
  } else if (key === "Escape") {
    back(app, event);
  }
}

function back(app, event) {
  if (app.chats.searching) app.chats.clear();
  else if (app.details.shown) app.details.hide();
  else if (app.chat.open && !event.target.closest?.(".message")) app.chat.show(undefined);
}

export function help() {
  const list = KEYS.map(([keys, words]) => [h("dt", null, keys.split(" ").map((key) => h("kbd", null, key))), h("dd", null, t(words))]);
  dialog({ title: t("keys.title"), body: h("dl", { class: "keys" }, list), kind: "small" });
}
