// A call to the server that this page came from, and why one was not carried out.

/** A call that was not carried out: HTTP status (0: not reached), code (R5), the server's words. */
export class Refused extends Error {
  constructor(status, code, msg) {
    super(msg);
    this.status = status;
    this.code = code;
  }

  /** Worth trying again by itself: not reached, overloaded, shutting down. */
  get passing() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.code === 1302;
  }
}

/** `fetch` that leads nowhere else and tells nobody where it came from; `credentials` are the caller's to choose. */
export async function reach(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, 0, "the server cannot be reached");
  }
}

/** The JSON of an answer with code 0; anything else is thrown. */
export async function answerOf(reply) {
  let body;
  try {
    body = await reply.json();
  } catch {
    throw new Refused(reply.ok ? 0 : reply.status, 0, "the answer did not arrive whole");
  }
  if (reply.ok && body.code === 0) return body;
  throw new Refused(reply.status, body.code ?? 1, body.msg ?? "");
}

export const segment = encodeURIComponent;
