// The administrators' interface (docs/openapi/admin.json), in the name of a session that a cookie out of this page's reach holds.

/** A call that was not carried out: HTTP status (0: not reached), code (R5), the server's words. */
export class Refused extends Error {
  constructor(status, code, msg) {
    super(msg);
    this.status = status;
    this.code = code;
  }
}

/** Emits `ended` when the session is over. */
export class Api extends EventTarget {
  get = (path) => this.call("GET", path);
  post = (path, body = {}) => this.call("POST", path, body);
  /** What the page asks for by itself: it keeps no session alive. */
  poll = (path) => this.call("GET", path, undefined, "poll");

  async call(method, path, body, kind = "act") {
    const headers = { "x-isthmus-console": kind };
    if (body !== undefined) headers["content-type"] = "application/json;charset=utf-8";
    const reply = await reach(`/admin/v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const answer = await reply.json().catch(() => {
      throw new Refused(reply.ok ? 0 : reply.status, 0, "the answer did not arrive whole");
    });
    if (reply.ok && answer.code === 0) return answer;
    const refused = new Refused(reply.status, answer.code ?? 1, answer.msg ?? "");
    if (reply.status === 401 && !path.startsWith("session")) this.dispatchEvent(new Event("ended"));
    throw refused;
  }
}

async function reach(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "same-origin", redirect: "error", referrerPolicy: "no-referrer" });
  } catch {
    throw new Refused(0, 0, "the server cannot be reached");
  }
}

export const segment = encodeURIComponent;
