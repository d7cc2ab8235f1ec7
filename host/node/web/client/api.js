// The client interface (docs/openapi/client.json): tokens, calls, and what a refusal says.

import { Refused, answerOf, reach as call } from "../shared/call.js";

/** Seconds that an access token has to live to be used. */
const SPARE_S = 60;

/** One device's session. Emits `ended` when the server does not know it any more. */
export class Api extends EventTarget {
  #vault;
  #tokens;
  #refreshing;

  constructor(vault) {
    super();
    this.#vault = vault;
  }

  get userID() {
    return this.#tokens?.userID;
  }

  get deviceID() {
    return this.#tokens?.deviceID;
  }

  /** Takes up the session that this browser keeps, if there is one. */
  async restore() {
    this.#tokens = await this.#vault.get("session");
    return Boolean(this.#tokens);
  }

  /** Opens a device. What is not to be remembered is kept in this page's memory alone. */
  async logIn(userID, password, remember) {
    const answer = await this.#plain("POST", "/client/v1/login", { userID, password, deviceName: deviceName() });
    await this.#take(answer, remember);
  }

  async logOut(everywhere) {
    await this.post("/client/v1/logout", { everywhere });
    await this.forget();
  }

  /** Nothing of the session stays here. */
  async forget() {
    this.#tokens = undefined;
    await this.#vault.drop("session");
  }

  get = (path, signal) => this.call("GET", path, undefined, signal);
  post = (path, body = {}, signal) => this.call("POST", path, body, signal);
  put = (path, body, signal) => this.call("PUT", path, body, signal);
  delete = (path, signal) => this.call("DELETE", path, undefined, signal);

  /** A call with a JSON answer; anything but code 0 is thrown as `Refused`. */
  async call(method, path, body, signal) {
    const headers = body === undefined ? {} : { "content-type": "application/json;charset=utf-8" };
    const text = body === undefined ? undefined : JSON.stringify(body);
    return answerOf(await this.raw(method, path, { headers, body: text, signal }));
  }

  /** Any call in the session's name; a token that is not taken is refreshed once. */
  async raw(method, path, { headers = {}, body, signal } = {}) {
    const send = async () => {
      const authorization = `Bearer ${await this.token()}`;
      return reach(path, { method, headers: { ...headers, authorization }, body, signal });
    };
    const reply = await send();
    if (reply.status !== 401) return reply;
    await this.#refresh(this.#tokens?.accessToken);
    return send();
  }

  /** An access token that lives long enough. */
  async token() {
    if (!this.#tokens) throw new Refused(401, 1101, "logged out");
    if (this.#tokens.expiresAt - Date.now() < SPARE_S * 1000) await this.#refresh(this.#tokens.accessToken);
    return this.#tokens.accessToken;
  }

  /** Milliseconds until the token has to be changed. */
  get fresh() {
    return (this.#tokens?.expiresAt ?? 0) - SPARE_S * 1000 - Date.now();
  }

  // A refresh token serves once, so that the tabs of one session have to take turns.
  #refresh(used) {
    this.#refreshing ??= exclusive(() => this.#exchange(used)).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #exchange(used) {
    const kept = this.#tokens?.remember ? await this.#vault.get("session") : this.#tokens;
    if (!kept) return this.#end();
    if (kept.accessToken !== used && kept.expiresAt - Date.now() > SPARE_S * 1000) {
      this.#tokens = kept;
      return undefined;
    }
    try {
      const answer = await this.#plain("POST", "/client/v1/refresh", { refreshToken: kept.refreshToken });
      await this.#take(answer, kept.remember);
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return this.#end();
      throw error;
    }
    return undefined;
  }

  async #end() {
    await this.forget();
    this.dispatchEvent(new Event("ended"));
    throw new Refused(401, 1101, "the session has ended");
  }

  async #take(answer, remember) {
    const { userID, deviceID, accessToken, refreshToken, expiresInS } = answer;
    this.#tokens = { userID, deviceID, accessToken, refreshToken, remember, expiresAt: Date.now() + expiresInS * 1000 };
    if (remember) await this.#vault.put("session", this.#tokens);
  }

  async #plain(method, path, body) {
    const headers = { "content-type": "application/json;charset=utf-8" };
    return answerOf(await reach(path, { method, headers, body: JSON.stringify(body) }));
  }
}

/** A token goes in a header: no cookie does. */
const reach = (path, options) => call(path, { ...options, credentials: "omit" });

function exclusive(work) {
  return navigator.locks ? navigator.locks.request("isthmus.session", work) : work();
}

/** For the user's list of devices. */
function deviceName() {
  const agent = navigator.userAgent;
  const of = (pairs) => pairs.find(([mark]) => agent.includes(mark))?.[1];
  const browser = of([["Edg/", "Edge"], ["Firefox/", "Firefox"], ["OPR/", "Opera"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]]);
  const system = of([["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"]]);
  return [browser ?? "Web", system].filter(Boolean).join(" · ");
}
