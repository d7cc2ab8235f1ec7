// Elements without HTML: whatever is shown is made here, from names, attributes and text. Nothing ever parses a string as markup.

const SVG = "http://www.w3.org/2000/svg";
/** Set as properties: as attributes they would only be first values. */
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "muted", "open"]);

/**
 * An element. Attributes: `on…` takes a function, `class` a text or an array of texts (false ones are left out), `dataset` an
 * object; null, undefined and false are left out. Children: elements, texts, arrays of them; null and false are left out.
 */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = [value].flat().filter(Boolean).join(" ");
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (PROPERTIES.has(key)) element[key] = value;
    else if (key === "href") element.setAttribute("href", safeLink(value));
    else if (key !== "style") element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Only what cannot run: http, https, blob and places on this page. */
function safeLink(link) {
  try {
    const url = new URL(link, location.href);
    return ["http:", "https:", "blob:"].includes(url.protocol) ? url.href : "#";
  } catch {
    return "#";
  }
}

/** Puts children in place of all there is. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** A text that somebody else chose: its direction and its control characters reach no further than itself. */
export function name(text, attributes) {
  return h("bdi", attributes, text);
}

/** A drawing: `paths` is the `d` of each stroke. */
export function drawing(paths, size = 24) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: `0 0 ${size} ${size}`, fill: "none", stroke: "currentColor", "stroke-width": "1.8",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", focusable: "false",
  })) svg.setAttribute(key, value);
  svg.classList.add("icon");
  for (const d of [paths].flat()) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/**
 * Makes `container` hold these rows, in this order. A row is `{key, sign, make}`: as long as key and sign are as before, its
 * element stays the one it was, with whatever it plays. One that is made anew or moved keeps the focus that was in it.
 */
export function rows(container, wanted) {
  const before = new Map();
  for (const element of [...container.children]) before.set(element.rowKey, element);
  let place = container.firstElementChild;
  for (const row of wanted) {
    let element = before.get(row.key);
    const focus = element && focusIn(element);
    if (element && element.rowSign === row.sign) {
      row.update?.(element);
    } else {
      const made = row.make();
      made.rowKey = row.key;
      made.rowSign = row.sign;
      element?.replaceWith(made);
      if (element === place) place = made;
      element = made;
    }
    before.delete(row.key);
    if (element === place) place = element.nextElementSibling;
    else container.insertBefore(element, place);
    focus?.(element);
  }
  for (const element of before.values()) element.remove();
}

/** Takes note of what has the focus in an element: a function that gives it to the same place of another, or to that itself. */
function focusIn(element) {
  const focused = document.activeElement;
  if (!element.contains(focused)) return undefined;
  const at = [...element.querySelectorAll(FOCUSED)].indexOf(focused);
  return (other) => (other.querySelectorAll(FOCUSED)[at] ?? other).focus({ preventScroll: true });
}
const FOCUSED = "button, a, input, textarea, select, [tabindex]";

/** Runs `work` once before the next picture, however often it is asked for. */
export function once(work) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      work();
    });
  };
}
