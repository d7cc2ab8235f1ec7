// The administrators' interface (docs/openapi/admin.json), in the name of a session that a cookie out of this page's reach holds.

import { answerOf, reach } from "../shared/call.js";

/** Emits `ended` when the session is over. */
export class Api extends EventTarget {
  get = (path) => this.call("GET", path);
  post = (path, body = {}) => this.call("POST", path, body);
  /** What the page asks for by itself: it keeps no session alive. */
  poll = (path) => this.call("GET", path, undefined, "poll");

  async call(method, path, body, kind = "act") {
    const headers = { "x-isthmus-console": kind };
    if (body !== undefined) headers["content-type"] = "application/json;charset=utf-8";
    const text = body === undefined ? undefined : JSON.stringify(body);
    try {
      return await answerOf(await reach(`/admin/v1/${path}`, { method, headers, body: text, credentials: "same-origin" }));
    } catch (error) {
      if (error.status === 401 && !path.startsWith("session")) this.dispatchEvent(new Event("ended"));
      throw error;
    }
  }
}
