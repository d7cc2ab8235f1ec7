// Somebody who writes and reads by the client interface: whether it is a person at a window is no matter here.

import { request } from "playwright-core";

export async function talker(ground, userID) {
  const server = ground.server(userID.split("@")[1]);
  const { password } = server.users.find((user) => user.userID === userID);
  const api = await request.newContext({ baseURL: server.client, ignoreHTTPSErrors: true });
  const { accessToken } = await (await api.post("/client/v1/login", { data: { userID, password, deviceName: "Browser test" } })).json();
  const headers = { authorization: `Bearer ${accessToken}` };
  let count = 0;
  return {
    async write(recvID, text) {
      count += 1;
      return (await api.post("/client/v1/messages", { headers, data: { clientID: `console-${count}`, recvID, text } })).json();
    },
    /** Everything that came, as text. */
    async inbox() {
      let text = "";
      for (let after = 0; ;) {
        const { events, next } = await (await api.get(`/client/v1/inbox?limit=500&after=${after}`, { headers })).json();
        if (events.length === 0) return text;
        text += JSON.stringify(events);
        after = next;
      }
    },
    async reads(text) {
      await ground.until(async () => (await this.inbox()).includes(text));
    },
  };
}
