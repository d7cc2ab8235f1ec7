// Where one writes: text that grows with its lines, files by choice, paste and drop, voice.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { bytes, moment, t } from "../../shared/words.js";
import { dialog, note } from "../../shared/dialog.js";
import { pictureType, thumbnail } from "../files.js";
import { Recorder, recordable } from "./voice.js";
import { refusal } from "./say.js";

const MAX_TEXT = 65536;

export class Composer {
  constructor(app, open) {
    this.app = app;
    this.open = open;
    this.text = h("textarea", {
      rows: "1", dir: "auto", placeholder: t("write"), "aria-label": t("write"), oninput: () => this.#grew(), onkeydown: (event) => this.#key(event),
      onpaste: (event) => this.#pasted(event),
    });
    this.files = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true", onchange: () => this.#chosen() });
    this.attach = h("button", { type: "button", class: "plain round", "aria-label": t("attach"), title: t("attach"), onclick: () => this.files.click() }, icon("attach"));
    this.go = h("button", { type: "button", class: "primary round send", onclick: () => (this.text.value.trim() || !recordable() ? this.#send() : this.#record()) });
    this.line = h("div", { class: "composer-line" }, this.attach, this.files, this.text, this.go);
    this.closed = h("p", { class: "composer-closed", hidden: true });
    this.told = h("div", { class: "composer-told", role: "status" });
    this.element = h("footer", { class: "composer" }, this.told, this.line, this.closed);
    this.#face();
  }

  render() {
    const chat = this.open();
    const gone = chat?.scene === "group" && this.app.model.groups.get(chat.id)?.gone;
    const mute = this.app.model.measure("mute");
    this.line.hidden = Boolean(gone) || Boolean(mute) || Boolean(this.recording);
    this.closed.hidden = !gone && !mute;
    if (gone) this.closed.textContent = t("group.gone.hint");
    else if (mute) this.closed.textContent = t("measure.muted", { until: moment(mute.untilMs), words: mute.words });
    this.#tell();
  }

  /** What bounds the user without closing the line, and what an administrator says until it is heeded. */
  #tell() {
    const { app } = this;
    const [limit, warning] = [app.model.measure("limit"), app.model.measure("warn")];
    const unheeded = warning && warning.sinceMs > (app.choices.heeded ?? 0) ? warning : undefined;
    const shown = JSON.stringify([limit, unheeded]);
    if (this.shown === shown) return;
    this.shown = shown;
    fill(this.told,
      unheeded && h("p", { class: "warned" }, h("span", null, t("measure.warned", { words: unheeded.words })),
        h("button", { type: "button", class: "quiet short", onclick: () => app.heed(unheeded) }, t("measure.heeded"))),
      limit && h("p", null, t("measure.limited", { n: limit.perMinute, until: moment(limit.untilMs), words: limit.words })));
  }

  /** The chat's draft. */
  take() {
    this.text.value = this.app.drafts[this.open().key] ?? "";
    this.#grew(true);
    if (matchMedia("(pointer: fine)").matches) this.focus();
  }

  keep() {
    this.app.draft(this.open().key, this.text.value);
  }

  focus() {
    this.text.focus();
  }

  write(text) {
    this.text.value = text;
    this.#grew();
    this.focus();
  }

  #grew(quiet = false) {
    this.text.style.setProperty("height", "auto");
    this.text.style.setProperty("height", `${this.text.scrollHeight}px`);
    this.#face();
    if (!quiet) this.keep();
  }

  #face() {
    const speak = !this.text.value.trim() && recordable();
    if (this.speaks === speak) return;
    this.speaks = speak;
    const words = t(speak ? "voice.record" : "send");
    fill(this.go, icon(speak ? "microphone" : "send"));
    this.go.setAttribute("aria-label", words);
    this.go.title = words;
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "ArrowUp" && !this.text.value && !event.altKey && this.app.chat.focusLast()) {
      event.preventDefault();
    }
  }

  #send() {
    const text = this.text.value.trim();
    if (!text) return;
    if (new TextEncoder().encode(text).length > MAX_TEXT) {
      note(t("text.long"), "bad");
      return;
    }
    this.write("");
    this.app.chat.pinned = true;
    this.app.sender.text(this.open(), text);
  }

  #pasted(event) {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    this.offer(files);
  }

  #chosen() {
    const files = [...this.files.files];
    this.files.value = "";
    this.offer(files);
  }

  /** Shows what is about to be sent, and sends it. */
  async offer(files) {
    const chat = this.open();
    if (!chat || files.length === 0) return;
    const offered = await Promise.all(files.map(async (file) => {
      const type = await pictureType(file).catch(() => undefined);
      const preview = type && (await thumbnail(new Blob([file], { type })).catch(() => undefined))?.url;
      return { file, kind: preview ? "image" : "file", preview };
    }));
    const most = this.app.model.me.maxFileBytes ?? Infinity;
    const rows = offered.map(({ file, preview }) => h("li", { class: "file" },
      preview ? h("img", { class: "preview", src: preview, alt: "" }) : h("span", { class: "file-icon" }, icon("file")),
      h("span", { class: "file-main" }, name(file.name, { class: "file-name" }), h("span", { class: ["file-size", file.size > most && "wrong"] }, bytes(file.size), file.size > most && ` · ${t("file.large", { most: bytes(most) })}`))));
    const fitting = offered.filter(({ file }) => file.size <= most);
    const asked = dialog({
      title: t("files.send", { n: files.length }),
      body: h("ul", { class: "offered" }, rows),
      actions: [
        h("button", { type: "button", class: "quiet", onclick: () => asked.close(false) }, t("cancel")),
        h("button", { type: "button", class: "primary", disabled: fitting.length === 0, autofocus: true, onclick: () => asked.close(true) }, t("send")),
      ],
      kind: "small",
    });
    const yes = await asked.closed;
    if (!yes) {
      offered.forEach(({ preview }) => preview && URL.revokeObjectURL(preview));
      return;
    }
    this.app.chat.pinned = true;
    fitting.forEach(({ file, kind, preview }) => this.app.sender.file(chat, file, kind, { preview }));
    this.focus();
  }

  async #record() {
    const chat = this.open();
    try {
      this.recording = await Recorder.start();
    } catch (error) {
      note(t(error.name === "NotAllowedError" ? "voice.denied" : "voice.none"), "bad");
      return;
    }
    const { recording } = this;
    const time = h("span", { class: "time", role: "timer" }, "0:00");
    const stop = async (send) => {
      clearInterval(timer);
      bar.remove();
      this.recording = undefined;
      this.render();
      this.focus();
      try {
        const spoken = await recording.stop();
        if (send && spoken) await this.app.sender.file(chat, spoken.file, "voice", { duration: spoken.seconds });
      } catch (error) {
        note(refusal(error), "bad");
      }
    };
    const done = h("button", { type: "button", class: "primary round send", "aria-label": t("send"), title: t("send"), onclick: () => stop(true) }, icon("send"));
    const bar = h("div", { class: "composer-line recording", onkeydown: (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      stop(false);
    } },
      h("button", { type: "button", class: "plain round", "aria-label": t("cancel"), title: t("cancel"), onclick: () => stop(false) }, icon("trash")),
      h("span", { class: "dot", "aria-hidden": "true" }), time, h("span", { class: "grow" }, t("voice.speaking")), done);
    const timer = setInterval(() => {
      fill(time, recording.time);
      if (recording.over) stop(true);
    }, 200);
    this.render();
    this.element.append(bar);
    done.focus();
  }
}
