// Windows over the page: dialogs, menus, short notes. All of them end with Esc and give the focus back.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./words.js";

let count = 0;

/**
 * Opens a dialog. `body` and `actions` are elements; answers `{element, close, closed}`, where `closed` is a promise of what
 * `close` was given.
 */
export function dialog({ title, body, actions = [], wide = false, kind = "" }) {
  count += 1;
  const id = `dialog-${count}`;
  let result;
  const close = (value) => {
    result = value;
    element.close();
  };
  const head = h("header", { class: "dialog-head" },
    h("h2", { id }, title),
    h("button", { class: "plain round", type: "button", "aria-label": t("close"), title: t("close"), onclick: () => close() }, icon("close")));
  const foot = actions.length > 0 && h("footer", { class: "dialog-foot" }, actions);
  const element = h("dialog", { class: ["dialog", wide && "wide", kind], "aria-labelledby": id }, head, h("div", { class: "dialog-body" }, body), foot);
  element.addEventListener("pointerdown", (event) => event.target === element && close());
  document.body.append(element);
  const closed = new Promise((resolve) => {
    element.addEventListener("close", () => {
      element.remove();
      resolve(result);
    });
  });
  element.showModal();
  (element.querySelector("[autofocus]") ?? element.querySelector("input, textarea, select, .dialog-foot button, button"))?.focus();
  return { element, close, closed };
}

/** Asks before something that cannot be undone. */
export function sure({ title, text, yes, danger = true }) {
  const asked = dialog({
    title,
    body: h("p", null, text),
    actions: [
      h("button", { type: "button", class: "quiet", onclick: () => asked.close(false) }, t("cancel")),
      h("button", { type: "button", class: danger ? "danger" : "primary", autofocus: true, onclick: () => asked.close(true) }, yes),
    ],
    kind: "small",
  });
  return asked.closed;
}

/**
 * A menu at an element. Items: `{label, icon, act, danger}`, or null for none.
 */
export function menu(anchor, items, { at } = {}) {
  document.querySelector(".menu")?.close?.();
  const close = (back = true) => {
    removeEventListener("pointerdown", outside, true);
    removeEventListener("resize", close);
    element.remove();
    anchor.setAttribute?.("aria-expanded", "false");
    if (back) anchor.focus?.();
  };
  const outside = (event) => {
    if (!element.contains(event.target)) close(false);
  };
  const buttons = items.filter(Boolean).map(({ label, icon: drawing, act, danger }) =>
    h("button", { type: "button", role: "menuitem", class: danger && "danger-text", tabindex: "-1", onclick: () => { close(); act(); } },
      icon(drawing ?? "more"), h("span", null, label)));
  const element = h("div", { class: "menu", role: "menu", onkeydown: (event) => move(event, buttons, close) }, buttons);
  element.close = close;
  (anchor.closest?.("dialog") ?? document.body).append(element);
  const place = at ?? anchor.getBoundingClientRect();
  const left = at ? at.left : place.right - element.offsetWidth;
  const below = place.bottom + element.offsetHeight + 8 < innerHeight;
  element.style.setProperty("left", `${Math.max(8, Math.min(left, innerWidth - element.offsetWidth - 8))}px`);
  element.style.setProperty("top", `${below ? place.bottom + 4 : Math.max(8, place.top - element.offsetHeight - 4)}px`);
  anchor.setAttribute?.("aria-expanded", "true");
  addEventListener("pointerdown", outside, true);
  addEventListener("resize", close);
  buttons[0]?.focus();
}

function move(event, buttons, close) {
  const now = buttons.indexOf(document.activeElement);
  const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    buttons[(to + buttons.length) % buttons.length]?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    event.stopPropagation();
    close();
  }
}

/** A note that goes by itself, read out by screen readers. */
export function note(text, kind = "") {
  let place = document.querySelector(".notes");
  if (!place) {
    place = h("div", { class: "notes", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  // Above an open dialog, or it would not be seen.
  (document.querySelector("dialog[open]:last-of-type") ?? document.body).append(place);
  const element = h("div", { class: ["note", kind] }, text);
  place.append(element);
  setTimeout(() => element.remove(), kind === "bad" ? 8000 : 4000);
}

/** A button that is busy while its work is under way and says what went wrong. */
export function act(button, work, say) {
  return async (event) => {
    event?.preventDefault();
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      note(say(error), "bad");
    } finally {
      button.removeAttribute("aria-busy");
    }
  };
}
