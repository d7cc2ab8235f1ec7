// Sends what the user wrote, and sends it again until the server has answered: a clientID makes it one message.

/** Before what was refused for now (overloaded, too many) is tried again. */
const AGAIN_MS = 3000;

export class Sender {
  #model;
  #link;
  #files;
  #uploads = new Map();

  constructor(model, link, files) {
    this.#model = model;
    this.#link = link;
    this.#files = files;
    link.addEventListener("frame", ({ detail }) => this.#heard(detail));
    link.addEventListener("state", ({ detail }) => detail === "open" && this.#all());
  }

  text(chat, text) {
    this.#post(this.#model.queue({ scene: chat.scene, to: chat.id, kind: "text", text }));
  }

  /** Uploads a file and sends it; `kind`: image, voice or file; `duration` in seconds. */
  async file(chat, file, kind, { duration, preview } = {}) {
    const { name, size } = file;
    const message = this.#model.queue({
      scene: chat.scene, to: chat.id, kind, name, size, duration, preview, state: "uploading", progress: 0,
    });
    await this.#upload(message, file);
  }

  /** A file that the user was sent or has sent, to another chat. */
  forward(chat, item) {
    if (item.kind === "text") return this.text(chat, item.content.message);
    const { name, size, mediaID, duration } = item.content;
    return this.#post(this.#model.queue({ scene: chat.scene, to: chat.id, kind: item.kind, name, size, mediaID, duration }));
  }

  cancel(clientID) {
    this.#uploads.get(clientID)?.abort();
    this.#model.discard(clientID);
  }

  /** Once more, after a refusal. */
  again(message) {
    const { clientID, scene, to, kind, text, name, size, mediaID, duration } = message;
    this.#model.discard(clientID);
    this.#post(this.#model.queue({ scene, to, kind, text, name, size, mediaID, duration }));
  }

  get uploading() {
    return this.#uploads.size;
  }

  async #upload(message, file) {
    const { clientID, kind } = message;
    const abort = new AbortController();
    this.#uploads.set(clientID, abort);
    const tell = (change) => this.#model.update(clientID, change);
    try {
      const mediaID = await this.#files.upload(file, kind, {
        signal: abort.signal,
        progress: (done) => tell({ progress: done, state: "uploading" }),
        pause: () => tell({ state: "paused" }),
      });
      tell({ mediaID, state: "sending" });
      this.#post(this.#model.unsent.get(clientID));
    } catch (error) {
      if (error.name !== "AbortError") tell({ state: "refused", code: error.code, msg: error.message });
    } finally {
      this.#uploads.delete(clientID);
    }
  }

  #all() {
    for (const message of this.#model.unsent.values()) if (message.state === "sending") this.#post(message);
  }

  #post(message) {
    if (!message) return;
    const { clientID, scene, to, kind, text, mediaID, duration } = message;
    const content = kind === "text" ? { text } : { mediaID, messageType: kind, duration };
    if (!this.#link.send({ type: "send", clientID, recvID: to, scene, ...content })) return;
    this.#link.expect(() => this.#model.unsent.get(clientID)?.state !== "sending");
  }

  #heard(frame) {
    if (frame.type === "event") this.#model.push(frame.cursor, frame.event);
    if (frame.type !== "refused") return;
    const { clientID, code, msg } = frame;
    if (code === 1302 || code === 1301) setTimeout(() => this.#post(this.#model.unsent.get(clientID)), AGAIN_MS);
    else this.#model.update(clientID, { state: "refused", code, msg });
  }
}
