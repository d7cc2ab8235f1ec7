// The WebSocket: pushes from a cursor, sends frames, comes back by itself.

const FIRST_MS = 500;
const LAST_MS = 15_000;
/** An answer that takes longer than this means that nobody is there. */
const ANSWER_MS = 15_000;
const PROTOCOL = "isthmus.v1";

/**
 * Emits `frame` (detail: the frame), `state` (detail: `open`, `connecting`, `waiting`) and `refused` (the session ended is told by
 * the api itself). `cursor` is a function: from where to push.
 */
export class Link extends EventTarget {
  #api;
  #cursor;
  #socket;
  #tries = 0;
  #timer;
  #stopped = true;
  #turn = 0;
  #expiry;
  state = "waiting";
  retryAt = 0;

  constructor(api, cursor) {
    super();
    this.#api = api;
    this.#cursor = cursor;
    addEventListener("online", () => this.hurry());
    addEventListener("offline", () => this.#socket?.close());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  start() {
    this.#stopped = false;
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    this.#turn += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#expiry);
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Does not wait for the end of a pause. */
  hurry() {
    if (this.#stopped || this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Sends a frame; false if there is no connection. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Somebody waits for an answer: without one the connection is taken for dead. */
  expect(answered) {
    const socket = this.#socket;
    setTimeout(() => {
      if (!answered() && socket === this.#socket) socket?.close();
    }, ANSWER_MS);
  }

  async #connect() {
    this.#turn += 1;
    const turn = this.#turn;
    this.#become("connecting");
    let token;
    try {
      token = await this.#api.token();
    } catch (error) {
      if (turn === this.#turn && error.status !== 401) this.#pause();
      return;
    }
    if (turn !== this.#turn || this.#stopped) return;
    const socket = new WebSocket(`wss://${location.host}/client/v1/socket?after=${this.#cursor()}`, [PROTOCOL, `bearer.${token}`]);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#tries = 0;
      this.#become("open");
      this.#expiry = setTimeout(() => this.#renew(), Math.max(1000, this.#api.fresh));
    };
    socket.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("frame", { detail: JSON.parse(data) }));
    socket.onclose = () => {
      clearTimeout(this.#expiry);
      if (turn !== this.#turn || this.#stopped) return;
      this.#socket = undefined;
      // A browser does not say why a handshake was refused: ask.
      if (!opened) this.#api.get("/client/v1/me").catch(() => undefined);
      this.#pause();
    };
  }

  /** The token ends: a new connection with a new one. */
  #renew() {
    this.#turn += 1;
    this.#socket?.close();
    this.#connect();
  }

  #pause() {
    const most = Math.min(LAST_MS, FIRST_MS * 2 ** this.#tries);
    const wait = most * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.retryAt = Date.now() + wait;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#become("waiting");
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
