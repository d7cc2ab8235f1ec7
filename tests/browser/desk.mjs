// Somebody in front of a console: a server's, or a platform's.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { PATIENCE } from "./ground.mjs";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = process.env.ISTHMUS_WEB;
/** What the page says on its console that is no mistake of the page's: what was refused. */
const EXPECTED = /Failed to load resource|net::ERR_/;
const ACCOUNTS = { system: "sysadmin", security: "secadmin", audit: "auditadmin" };
/** What everybody chooses in place of the one-time password. */
export const OWN = "a long enough sentence";

export class Desk {
  constructor(ground, page, id, role) {
    Object.assign(this, { ground, page, id, role, name: ACCOUNTS[role] });
  }

  /** A window at the log-in page. */
  static async at(ground, id, role, { locale = "en-GB", viewport = { width: 1360, height: 860 }, colorScheme = "light", phone = false } = {}) {
    const context = await ground.browser.newContext({ ignoreHTTPSErrors: true, locale, viewport, colorScheme, baseURL: consoleOf(ground, id).admin, hasTouch: phone, isMobile: phone, reducedMotion: "reduce", acceptDownloads: true });
    context.setDefaultTimeout(PATIENCE);
    if (PAGES) await context.route((url) => url.pathname === "/" || url.pathname.startsWith("/web/"), (route) => fromFolder(route, ground.platforms.has(id) ? "platform" : "index"));
    const page = await context.newPage();
    page.on("pageerror", (error) => ground.complaints.push(`${id} ${role}: ${error.stack}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !EXPECTED.test(message.text())) ground.complaints.push(`${id} ${role}: ${message.text()}`);
    });
    await page.goto("/");
    await page.locator("#login-name").waitFor();
    return new Desk(ground, page, id, role);
  }

  /** The one-time password of the first start, if it was not changed yet. */
  get first() {
    try {
      return JSON.parse(fs.readFileSync(path.join(consoleOf(this.ground, this.id).dataDir, "admin-passwords.json"), "utf8"))[this.name];
    } catch {
      return undefined;
    }
  }

  async enter(password) {
    await this.page.locator("#login-name").fill(this.name);
    await this.page.locator("#login-password").fill(password);
    await this.page.locator(".login button[type=submit]").click();
  }

  /** Logs in; the first time with a password of one's own. */
  async logIn() {
    const first = this.first;
    await this.enter(first ?? OWN);
    if (first) {
      await this.page.locator("#password-old").fill(first);
      await this.page.locator("#password-new").fill(OWN);
      await this.page.locator("#password-again").fill(OWN);
      await this.page.locator(".login button[type=submit]").click();
    }
    await this.page.locator(".console").waitFor();
    return this;
  }

  static async open(ground, id, role, options) {
    return (await Desk.at(ground, id, role, options)).logIn();
  }

  async go(key) {
    await this.page.locator(`nav a[data-page="${key}"]`).click();
    await this.page.locator(`.page.${key} h1`).waitFor();
  }

  async shot(name) {
    await this.page.screenshot({ path: this.ground.shot(name), animations: "disabled" });
  }

  /** Nothing is wider than the window. */
  async fits(where) {
    const wide = await this.page.evaluate(() => Math.max(document.documentElement.scrollWidth - innerWidth, ...[...document.querySelectorAll("#content")].map((part) => part.scrollWidth - part.clientWidth)));
    assert.ok(wide <= 0, `${where} is ${wide} pixels too wide`);
  }

  /** axe finds nothing serious. It runs as a debugger's script: the page's own policy would not let it in. */
  async accessible(where) {
    const session = await this.page.context().newCDPSession(this.page);
    await session.send("Page.enable");
    const { frameTree } = await session.send("Page.getFrameTree");
    const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
    const run = (expression, awaitPromise = false) => session.send("Runtime.evaluate", { contextId, expression, awaitPromise, returnByValue: true });
    await run(AXE);
    const { result } = await run(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary) })))`, true);
    const serious = result.value.filter(({ impact }) => impact === "serious" || impact === "critical");
    assert.deepEqual(serious, [], `${where}: ${JSON.stringify(serious, null, 1)}`);
  }
}

/** Where a console is, and the files of whatever it administers. */
function consoleOf(ground, id) {
  return ground.platforms.get(id) ?? ground.server(id);
}

async function fromFolder(route, start) {
  const { pathname } = new URL(route.request().url());
  const file = path.join(PAGES, pathname === "/" ? `console/${start}.html` : pathname.slice("/web/".length));
  const types = { ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml" };
  await route.fulfill({ headers: { "content-type": types[path.extname(file)] }, body: fs.readFileSync(file) });
}
