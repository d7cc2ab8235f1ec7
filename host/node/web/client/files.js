// Files: uploads that go on after a break, downloads that do, and pictures as they are shown.

import { Refused, answerOf, segment } from "../shared/call.js";

const SLICE = 2 * 1024 * 1024;
const PAUSE_FIRST_MS = 500;
const PAUSE_LAST_MS = 10_000;
/** Pictures whose thumbnails are kept in memory. */
const PICTURES = 200;
/** A picture larger than this on a side is shown smaller until somebody opens it. */
const THUMBNAIL = 640;

export class Files {
  #api;
  #pictures = new Map();

  constructor(api) {
    this.#api = api;
  }

  /**
   * Uploads a file and answers its mediaID. `progress` is told the bytes that the server has, `pause` that the connection is gone;
   * it goes on by itself, until `signal` says no.
   */
  async upload(file, type, { signal, progress = () => {}, pause = () => {} }) {
    const begin = () => this.#api.post("/client/v1/media", { type, name: file.name, size: file.size }, signal);
    let upload = await this.#patiently(begin, { signal, pause });
    const path = `/client/v1/media/${segment(upload.mediaID)}`;
    try {
      while (upload.state !== "ready") {
        progress(upload.offset);
        upload = await this.#step(path, file, upload, { signal, pause });
      }
      progress(file.size);
      return upload.mediaID;
    } catch (error) {
      this.#api.delete(path).catch(() => undefined);
      throw error;
    }
  }

  async #step(path, file, upload, { signal, pause }) {
    const { offset } = upload;
    const body = file.slice(offset, offset + SLICE);
    try {
      const headers = { "content-type": "application/octet-stream" };
      return await answerOf(await this.#api.raw("PUT", `${path}?offset=${offset}`, { headers, body, signal }));
    } catch (error) {
      // The place is the server's to say: after a break, and where it has another one than we.
      if (!wait(error) && error.code !== 1003) throw error;
      return this.#patiently(() => this.#api.get(`${path}/status`, signal), { signal, pause, first: wait(error) });
    }
  }

  /** Tries until it is answered, with pauses. */
  async #patiently(work, { signal, pause, first = false }) {
    for (let tries = 0; ; tries += 1) {
      if (tries > 0 || first) {
        if (tries > 0) pause();
        await sleep(Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** tries), signal);
      }
      try {
        return await work();
      } catch (error) {
        if (!wait(error)) throw error;
      }
    }
  }

  /**
   * A file's bytes. `progress` is told how many there are; a break is mended by going on from there, and so is an end before `size`.
   */
  async download(mediaID, { signal, progress = () => {}, pause = () => {}, from, size = 0 } = {}) {
    const path = `/client/v1/media/${segment(mediaID)}${from ? `?from=${segment(from)}` : ""}`;
    const parts = [];
    let had = 0;
    for (let tries = 0; ; ) {
      try {
        const headers = had > 0 ? { range: `bytes=${had}-` } : {};
        const reply = await this.#api.raw("GET", path, { headers, signal });
        if ((reply.headers.get("content-type") ?? "").startsWith("application/json") && !reply.headers.has("accept-ranges")) await answerOf(reply);
        if (!reply.ok) throw new Refused(reply.status, 0, reply.statusText);
        if (reply.status === 200) {
          parts.length = 0;
          had = 0;
        }
        for await (const part of chunks(reply)) {
          parts.push(part);
          had += part.length;
          tries = 0;
          progress(had);
        }
        if (had < size) throw new Refused(0, 0, "the file did not arrive whole");
        return new Blob(parts, { type: "application/octet-stream" });
      } catch (error) {
        if (error.name === "AbortError" || (error instanceof Refused && !wait(error))) throw error;
        pause();
        await sleep(Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** tries), signal);
        tries += 1;
      }
    }
  }

  /** A picture's thumbnail, as `{url, width, height}`. */
  picture(mediaID, from) {
    const key = `${mediaID} ${from ?? ""}`;
    const known = this.#pictures.get(key);
    this.#pictures.delete(key);
    const found = known ?? this.#thumbnail(mediaID, from);
    this.#pictures.set(key, found);
    if (!known) found.catch(() => this.#pictures.delete(key));
    if (this.#pictures.size > PICTURES) this.#forget(this.#pictures.keys().next().value);
    return found;
  }

  #forget(key) {
    this.#pictures.get(key).then(({ url }) => URL.revokeObjectURL(url), () => undefined);
    this.#pictures.delete(key);
  }

  async #thumbnail(mediaID, from) {
    return thumbnail(await this.whole(mediaID, { from }));
  }

  /** A picture as it is: a blob of its true type, whatever it was called. */
  async whole(mediaID, options) {
    const blob = await this.download(mediaID, options);
    const type = await pictureType(blob);
    if (!type) throw new Refused(200, 1402, "not a picture");
    return new Blob([blob], { type });
  }
}

const MAGIC = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
];

/** By its first bytes (R9): png, jpeg or gif; else undefined. */
export async function pictureType(blob) {
  const first = new Uint8Array(await blob.slice(0, 4).arrayBuffer());
  return MAGIC.find(([, bytes]) => bytes.every((byte, n) => first[n] === byte))?.[0];
}

export async function thumbnail(blob) {
  const picture = await createImageBitmap(blob);
  const { width, height } = picture;
  const factor = Math.min(1, THUMBNAIL / Math.max(width, height));
  if (factor === 1 || blob.type === "image/gif") {
    picture.close();
    return { url: URL.createObjectURL(blob), width, height };
  }
  const small = await scaled(picture, Math.round(width * factor), Math.round(height * factor), blob.type);
  return { url: URL.createObjectURL(small), width, height };
}

/** A picture file cut square and made small: for portraits and icons. */
export async function square(blob, side) {
  const picture = await createImageBitmap(blob);
  const edge = Math.min(picture.width, picture.height);
  const cut = await createImageBitmap(picture, (picture.width - edge) / 2, (picture.height - edge) / 2, edge, edge);
  const small = await scaled(cut, side, side, "image/jpeg");
  return new File([small], "portrait.jpg", { type: "image/jpeg" });
}

function scaled(picture, width, height, type) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  picture.close();
  return canvas.convertToBlob({ type: type === "image/png" ? "image/png" : "image/jpeg", quality: 0.85 });
}

async function* chunks(reply) {
  const reader = reply.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

/** Worth waiting for: the network, a server that is starting, too many at a time. */
function wait(error) {
  return error instanceof Refused && (error.passing || error.code === 1301 || error.status === 400);
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Hands bytes to the user as a file; never opened here. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name || "file";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
