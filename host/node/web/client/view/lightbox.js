// A picture or a film, large.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { bytes, t } from "../../shared/words.js";
import { save } from "../files.js";
import { refusal } from "./say.js";

export function lightbox(app, item) {
  const { mediaID, name: title, size } = item.content;
  const abort = new AbortController();
  let url;
  let blob;
  const stage = h("div", { class: "stage" }, h("span", { class: "spinner" }));
  const keep = h("button", { type: "button", class: "plain round", "aria-label": t("download", { name: title }), title: t("download.short"), disabled: true, onclick: () => save(blob, title) }, icon("download"));
  const close = h("button", { type: "button", class: "plain round", "aria-label": t("close"), title: t("close"), onclick: () => element.close() }, icon("close"));
  const element = h("dialog", { class: "lightbox", "aria-label": title }, h("header", null, name(title), h("small", null, bytes(size)), keep, close), stage);
  stage.addEventListener("click", (event) => event.target === stage && element.close());
  element.addEventListener("close", () => {
    abort.abort();
    if (url) URL.revokeObjectURL(url);
    element.remove();
  });
  document.body.append(element);
  element.showModal();
  close.focus();
  const film = item.kind !== "image";
  const fetched = film ? app.files.download(mediaID, { size, signal: abort.signal }) : app.files.whole(mediaID, { size, signal: abort.signal });
  fetched.then((found) => {
    blob = film ? new Blob([found], { type: "video/mp4" }) : found;
    url = URL.createObjectURL(blob);
    keep.disabled = false;
    fill(stage, film ? h("video", { src: url, controls: true, autoplay: true }) : h("img", { src: url, alt: title }));
  }, (error) => fill(stage, h("p", { class: "wrong" }, refusal(error))));
}
