// Lines over time, drawn as they come.

import { h } from "../shared/dom.js";

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A round number that is not below `most`. */
function ceiling(most) {
  if (most <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].find((step) => step * power >= most) * power;
}

/**
 * Several series of `[atMs, value]` over the same `spanMs`; `label` says a value. A line each, in the colours of the classes
 * `line-0`, `line-1`, …
 */
export class Chart {
  constructor({ names, spanMs, label, height = 180 }) {
    Object.assign(this, { names, spanMs, label, height });
    this.plot = svg("svg", { class: "chart", viewBox: `0 0 600 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.scale = h("div", { class: "scale", "aria-hidden": "true" });
    this.legend = h("ul", { class: "legend" });
    this.element = h("figure", { class: "chart-box" }, h("div", { class: "plot" }, this.plot, this.scale), this.legend);
  }

  draw(series, nowMs) {
    const top = ceiling(Math.max(0, ...series.flat().map(([, value]) => value)));
    const x = (ms) => 600 - (600 * (nowMs - ms)) / this.spanMs;
    const y = (value) => this.height - 2 - ((this.height - 12) * value) / top;
    const lines = [0, 0.5, 1].map((part) => svg("line", { x1: 0, x2: 600, y1: y(top * part), y2: y(top * part), class: "grid" }));
    const paths = series.flatMap((points, n) => {
      if (points.length < 2) return [];
      const d = points.map(([ms, value], at) => `${at === 0 ? "M" : "L"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`).join("");
      const area = svg("path", { d: `${d}L${x(points.at(-1)[0]).toFixed(1)} ${this.height}L${x(points[0][0]).toFixed(1)} ${this.height}Z`, class: `area area-${n}` });
      return [...(n === 0 ? [area] : []), svg("path", { d, class: `line line-${n}`, "vector-effect": "non-scaling-stroke" })];
    });
    this.plot.replaceChildren(...lines, ...paths);
    this.scale.replaceChildren(...[top, top / 2, 0].map((value) => h("span", null, this.label(value))));
    this.legend.replaceChildren(...this.names.map((name, n) => h("li", null, h("i", { class: `dot dot-${n}` }), name, h("strong", null, this.label(series[n].at(-1)?.[1] ?? 0)))));
  }
}

/** Parts of a whole, as one bar. */
export function bar(parts) {
  const whole = parts.reduce((sum, { value }) => sum + value, 0) || 1;
  const pieces = parts.map(({ value }, n) => {
    const piece = h("i", { class: `dot-${n}` });
    piece.style.setProperty("width", `${(100 * value) / whole}%`);
    return piece;
  });
  return h("div", { class: "bar", "aria-hidden": "true" }, pieces);
}
