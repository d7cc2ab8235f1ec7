// Voice: recorded as the standard wants it (R9: AMR), and played. Browsers know no AMR, so a codec comes with the page, when it is
// needed.

import { fill, h } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { duration, t } from "../../shared/words.js";
import { refusal } from "./say.js";

const RATE = 8000;
const LONGEST_S = 60;
/** AMR 12.2 kbit/s: the best that the format has. */
const MODE = 7;

let codec;
const amr = () => (codec ??= import("../../vendor/amrnb.js").then((module) => module.default));

/** Whether this browser can record. */
export function recordable() {
  return Boolean(navigator.mediaDevices?.getUserMedia && globalThis.MediaRecorder);
}

export class Recorder {
  #recorder;
  #stream;
  #parts = [];
  #began = performance.now();

  static async start() {
    const recorder = new Recorder();
    recorder.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } });
    recorder.#recorder = new MediaRecorder(recorder.#stream);
    recorder.#recorder.ondataavailable = ({ data }) => recorder.#parts.push(data);
    recorder.#recorder.start();
    recorder.#began = performance.now();
    // Fetched while somebody speaks.
    amr();
    return recorder;
  }

  get #seconds() {
    return (performance.now() - this.#began) / 1000;
  }

  get time() {
    return duration(this.#seconds);
  }

  get over() {
    return this.#seconds >= LONGEST_S;
  }

  /** The voice as a file, and its length; nothing if it was too short to say anything. */
  async stop() {
    const length = this.#seconds;
    const ended = new Promise((resolve) => {
      this.#recorder.onstop = resolve;
    });
    this.#recorder.stop();
    await ended;
    this.#stream.getTracks().forEach((track) => track.stop());
    if (length < 0.5) return undefined;
    const samples = await resample(await new Blob(this.#parts).arrayBuffer());
    const bytes = (await amr()).encode(samples, RATE, MODE);
    const stamp = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
    return { file: new File([bytes], `voice-${stamp}.amr`, { type: "audio/amr" }), seconds: Math.max(1, Math.round(samples.length / RATE)) };
  }
}

/** Any sound that the browser knows, as 8000 samples a second on one channel. */
async function resample(bytes) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(bytes);
  const offline = new OfflineAudioContext(1, Math.ceil(sound.duration * RATE), RATE);
  const source = offline.createBufferSource();
  source.buffer = sound;
  source.connect(offline.destination);
  source.start();
  return (await offline.startRendering()).getChannelData(0);
}

let playing;

/** What plays a voice message. */
export function voice(app, { mediaID, size, duration: seconds }) {
  const button = h("button", { type: "button", class: "primary round", onclick: () => toggle() });
  const line = h("input", { type: "range", min: "0", max: "1", step: "any", value: 0, "aria-label": t("voice.place"), oninput: () => sound && (sound.currentTime = line.value * sound.duration) });
  const time = h("span", { class: "time" }, duration(seconds));
  let sound;
  const face = (on) => {
    fill(button, icon(on ? "pause" : "play"));
    button.setAttribute("aria-label", t(on ? "voice.pause" : "voice.play"));
  };
  async function toggle() {
    if (sound && !sound.paused) return sound.pause();
    try {
      button.setAttribute("aria-busy", "true");
      sound ??= await load(app, mediaID, size);
    } catch (error) {
      return fill(time, refusal(error) || t("voice.broken"));
    } finally {
      button.removeAttribute("aria-busy");
    }
    sound.onplay = () => face(true);
    sound.onpause = () => face(false);
    sound.ontimeupdate = () => {
      line.value = sound.duration ? sound.currentTime / sound.duration : 0;
      fill(time, duration(sound.currentTime > 0 ? sound.currentTime : seconds));
    };
    sound.onended = () => {
      line.value = 0;
      fill(time, duration(seconds));
    };
    if (playing !== sound) playing?.pause();
    playing = sound;
    return sound.play();
  }
  face(false);
  return h("div", { class: "voice" }, button, line, time);
}

async function load(app, mediaID, size) {
  const blob = await app.files.download(mediaID, { size });
  const wav = (await amr()).toWAV(new Uint8Array(await blob.arrayBuffer()));
  if (!wav) throw new Error(t("voice.broken"));
  return new Audio(URL.createObjectURL(new Blob([wav], { type: "audio/wav" })));
}
