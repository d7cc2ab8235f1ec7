// The console of a server.

import { start } from "./app.js";
import { Audit } from "./view/audit.js";
import { Held } from "./view/held.js";
import { Lists } from "./view/lists.js";
import { Overview } from "./view/overview.js";
import { Peers } from "./view/peers.js";
import { Policy } from "./view/policy.js";
import { Users } from "./view/users.js";

async function waiting(api) {
  const { held } = await api.poll("held?limit=100");
  return held.filter(({ released }) => !released).length;
}

await start({
  title: "console",
  pages: [
    { key: "overview", icon: "overview", view: Overview, roles: ["system", "security", "audit"] },
    { key: "peers", icon: "peers", view: Peers, roles: ["system", "security"] },
    { key: "users", icon: "people", view: Users, roles: ["system"] },
    { key: "policy", icon: "admin", view: Policy, roles: ["security", "audit"] },
    { key: "lists", icon: "list", view: Lists, roles: ["security"] },
    { key: "held", icon: "pause", view: Held, roles: ["security"], count: waiting },
    { key: "audit", icon: "search", view: Audit, roles: ["audit"] },
  ],
});
