// The console of the management platform. Every role sees the registry; the system administrator decides, and the security
// administrator with it where two have to approve.

import { start } from "./app.js";
import { Applications } from "./view/applications.js";
import { Audit } from "./view/audit.js";
import { Certificates } from "./view/certificates.js";
import { Registry } from "./view/registry.js";
import { Servers } from "./view/servers.js";

const EVERYBODY = ["system", "security", "audit"];

await start({
  title: "console.platform",
  pages: [
    { key: "overview", icon: "overview", view: Registry, roles: EVERYBODY },
    { key: "applications", icon: "file", view: Applications, roles: EVERYBODY, count: async (api) => (await api.poll("status")).pendingApplications },
    { key: "servers", icon: "peers", view: Servers, roles: EVERYBODY },
    { key: "certificates", icon: "lock", view: Certificates, roles: EVERYBODY },
    { key: "audit", icon: "search", view: Audit, roles: ["audit"] },
  ],
});
