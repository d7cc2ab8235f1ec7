// The ground of the browser's tests: `isthmus demo` (a platform, the servers north and south, four users) and Debian's Chromium, with
// a window of its own for everybody.
//
// Environment: ISTHMUS_BIN, the binary; CHROMIUM, the browser; ISTHMUS_SHOTS, where screenshots go; ISTHMUS_WEB, a folder whose pages
// are shown in place of the binary's own, for whoever works on them.

import { spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, request } from "playwright-core";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const BINARY = process.env.ISTHMUS_BIN ?? path.join(ROOT, "target/debug/isthmus");
const SHOTS = process.env.ISTHMUS_SHOTS ?? path.join(ROOT, "target/browser");
const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = process.env.ISTHMUS_WEB;
/** A debug build on a busy machine. Nothing waits for a time, everything for a condition, this long at most. */
export const PATIENCE = Number(process.env.ISTHMUS_PATIENCE ?? 120_000);
const START = 600_000;

/** What the page says on its console that is no mistake of the page's: a server that is away. */
const EXPECTED = /Failed to load resource|WebSocket connection to|net::ERR_|ERR_CONNECTION/;

export class Ground {
  people = [];
  extra = [];
  complaints = [];
  /** By name: where each is, and its files. The demo's is `platform`. */
  platforms = new Map();
  /** What the pages may complain of, because a test made them. */
  provoked = [];

  static async start() {
    const ground = new Ground();
    ground.folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-browser-"));
    fs.mkdirSync(SHOTS, { recursive: true });
    const base = await freePorts();
    ground.demo = spawn(BINARY, ["demo", "--data", path.join(ground.folder, "demo"), "--port-base", String(base), "--json"], { stdio: ["ignore", "pipe", "inherit"] });
    await lineOf(ground.demo, (line) => line.includes('"ready"'), START);
    ground.record = JSON.parse(fs.readFileSync(path.join(ground.folder, "demo/demo.json"), "utf8"));
    const { url, adminUrl } = ground.record.platform;
    ground.platforms.set("platform", { url, admin: adminUrl, dataDir: path.join(ground.folder, "demo/platform/data") });
    ground.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--disable-gpu",
        // A page from a folder has no address, and such may not call this machine's.
        ...(PAGES ? ["--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets"] : [])],
    });
    return ground;
  }

  server(id) {
    return this.record.servers.find((server) => server.serverId === id);
  }

  /** A window of somebody's, at the log-in page. */
  async window(userID, { locale = "en-GB", viewport = { width: 1280, height: 800 }, colorScheme = "light", phone = false } = {}) {
    const server = this.server(userID.split("@")[1]);
    const password = server.users.find((user) => user.userID === userID)?.password;
    const page = await this.#page(userID, "client", { locale, viewport, colorScheme, baseURL: server.client, hasTouch: phone, isMobile: phone, reducedMotion: "reduce",
      permissions: ["microphone", "clipboard-read", "clipboard-write"], acceptDownloads: true,
    });
    const person = new Person(this, page, userID, password);
    this.people.push(person);
    await page.goto("/");
    return person;
  }

  async #page(whose, pages, options) {
    const context = await this.browser.newContext({ ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(PATIENCE);
    if (PAGES) await context.route((url) => url.pathname === "/" || url.pathname.startsWith("/web/"), (route) => fromFolder(route, pages));
    const page = await context.newPage();
    page.on("pageerror", (error) => this.complaints.push(`${whose}: ${error.stack}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !EXPECTED.test(message.text())) this.complaints.push(`${whose}: ${message.text()}`);
    });
    return page;
  }

  /** A window of somebody who has logged in. */
  async person(userID, options) {
    const person = await this.window(userID, options);
    await person.logIn();
    return person;
  }

  /** The administration of a server, as one of its three roles. */
  async admin(id, role) {
    const { admin, adminTokens } = this.server(id);
    return request.newContext({ baseURL: admin, ignoreHTTPSErrors: true, extraHTTPHeaders: { authorization: `Bearer ${adminTokens[role]}` } });
  }

  /** The client interface, as a user. */
  async api(userID) {
    const server = this.server(userID.split("@")[1]);
    const { password } = server.users.find((user) => user.userID === userID);
    const context = await request.newContext({ baseURL: server.client, ignoreHTTPSErrors: true });
    const { accessToken } = await (await context.post("/client/v1/login", { data: { userID, password } })).json();
    const headers = { authorization: `Bearer ${accessToken}` };
    return (path, data) => context.post(`/client/v1/${path}`, { data, headers });
  }

  /** Waits until something holds, and answers it. */
  async until(holds) {
    const late = Date.now() + PATIENCE;
    for (;;) {
      const found = await holds();
      if (found) return found;
      if (Date.now() > late) throw new Error(`waited in vain: ${holds}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async kill(id) {
    const processes = JSON.parse(fs.readFileSync(path.join(this.folder, "demo/processes.json"), "utf8"));
    const again = this.extra.find((one) => one.id === id && one.child.exitCode === null && one.child.signalCode === null);
    if (again) again.child.kill("SIGKILL");
    else process.kill(processes[id], "SIGKILL");
  }

  async startAgain(id) {
    const child = spawn(BINARY, ["server", "--config", path.join(this.folder, "demo", id, "server.toml"), "--until-stdin-closes"], { stdio: ["pipe", "ignore", "ignore"] });
    this.extra.push({ id, child });
  }

  /** Another platform, by itself, with settings of its own; a desk finds its console by its name. */
  async platform(name, settings) {
    const base = await freePorts();
    const folder = path.join(this.folder, name);
    const [url, adminUrl] = [base, base + 1].map((port) => `https://127.0.0.1:${port}`);
    fs.mkdirSync(folder);
    const listen = `[listen]\napi = "127.0.0.1:${base}"\nadmin = "127.0.0.1:${base + 1}"\n`;
    fs.writeFileSync(path.join(folder, "platform.toml"), `domain = "${name}.example"\ndata_dir = "data"\nhosts = ["127.0.0.1"]\n${listen}[registry]\nallow_private_addresses = true\n${settings}\n`);
    const child = spawn(BINARY, ["platform", "--config", path.join(folder, "platform.toml"), "--until-stdin-closes"], { stdio: ["pipe", "ignore", "ignore"] });
    this.extra.push({ id: name, child });
    const context = await request.newContext({ baseURL: adminUrl, ignoreHTTPSErrors: true });
    await this.until(() => context.get("/readyz").then((answer) => answer.ok(), () => false));
    this.platforms.set(name, { url, admin: adminUrl, dataDir: path.join(folder, "data") });
    return url;
  }

  /** Ends everything. Whatever a page complained of on the way is a failure. */
  async stop() {
    await this.browser?.close();
    for (const { child } of this.extra) child.stdin.end();
    this.demo?.kill("SIGTERM");
    await Promise.all([this.demo, ...this.extra.map(({ child }) => child)].map((child) => ended(child)));
    fs.rmSync(this.folder, { recursive: true, force: true });
    const complaints = this.complaints.filter((line) => !this.provoked.some((pattern) => pattern.test(line)));
    if (complaints.length > 0) throw new Error(`the pages complained:\n${complaints.join("\n")}`);
  }

  /** axe finds nothing serious in a page. */
  async accessible(page, where) {
    // As a debugger's script: the page's own policy would not let it in.
    const session = await page.context().newCDPSession(page);
    await session.send("Page.enable");
    const { frameTree } = await session.send("Page.getFrameTree");
    const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
    const run = (expression, awaitPromise = false) => session.send("Runtime.evaluate", { contextId, expression, awaitPromise, returnByValue: true });
    await run(AXE);
    const { result } = await run(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(({ id, impact, nodes }) =>
      ({ id, impact, nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary) })))`, true);
    const serious = result.value.filter(({ impact }) => impact === "serious" || impact === "critical");
    if (serious.length > 0) throw new Error(`${where}: ${JSON.stringify(serious, null, 1)}`);
    await session.detach();
  }

  shot(name) {
    return path.join(SHOTS, `${name}.png`);
  }
}

/** Somebody in front of a window. */
export class Person {
  constructor(ground, page, userID, password) {
    Object.assign(this, { ground, page, userID, password });
  }

  async logIn() {
    const { page } = this;
    await page.locator("#login-user").fill(this.userID);
    await page.locator("#login-password").fill(this.password);
    await page.locator(".login button[type=submit]").click();
    await page.locator(".frame").waitFor();
    await this.connected();
  }

  async connected() {
    await this.page.locator(".connection").waitFor({ state: "hidden" });
  }

  /** Opens the chat with somebody, by search. */
  async open(query) {
    await this.page.keyboard.press("Escape");
    const field = this.page.locator(".search-box .search");
    await field.fill(query);
    await field.press("Enter");
    await this.page.locator(".found .row", { hasText: query }).first().click();
    const write = this.page.locator(".details .write button");
    const opened = this.page.locator(".chat-head small", { hasText: query });
    await write.or(opened).first().waitFor();
    if (await write.isVisible()) await write.click();
    await this.page.locator(".composer textarea").waitFor();
    await field.fill("");
  }

  /** Shows who the open chat is with. */
  async details() {
    if (!(await this.page.locator(".details").isVisible())) await this.page.locator(".chat-head .title").click();
    await this.page.locator(".details").waitFor();
  }

  /** The row of a chat in the list. */
  row(title) {
    return this.page.locator(".side .list .row", { hasText: title }).first();
  }

  async write(text) {
    await this.page.locator(".composer textarea").fill(text);
    await this.page.locator(".composer textarea").press("Enter");
  }

  message(text) {
    return this.page.locator(".message", { hasText: text }).last();
  }

  async reads(text) {
    await this.message(text).waitFor();
  }

  state(text, state) {
    return this.message(text).locator(`.state.${state}`).waitFor();
  }

  /** Waits until the browser has written something of this user's to its disk: a list of more than nothing, sealed. */
  async keeps(what) {
    const size = (name) => new Promise((resolve) => {
      const opening = indexedDB.open("isthmus");
      opening.onsuccess = () => {
        const asked = opening.result.transaction("kept").objectStore("kept").get(name);
        asked.onsuccess = () => resolve(asked.result?.data.byteLength ?? 0);
        opening.result.close();
      };
    });
    const empty = "[]".length + 16;
    await this.ground.until(async () => (await this.page.evaluate(size, `${what}:${this.userID}`)) > empty);
  }

  async shot(name) {
    await this.page.screenshot({ path: this.ground.shot(name), animations: "disabled" });
  }
}

async function fromFolder(route, pages) {
  const { pathname } = new URL(route.request().url());
  const file = path.join(PAGES, pathname === "/" ? `${pages}/index.html` : pathname.slice("/web/".length));
  const reply = await route.fetch({ url: new URL("/", route.request().url()).href });
  const types = { ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml" };
  await route.fulfill({ headers: { ...reply.headers(), "content-type": types[path.extname(file)], etag: "" }, body: fs.readFileSync(file) });
}

/** A port from which all of the demo's are free. */
async function freePorts() {
  for (;;) {
    const base = 20_000 + 30 * Math.floor(Math.random() * 400);
    const wanted = [0, 1, 10, 11, 12, 20, 21, 22].map((n) => base + n);
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return base;
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function lineOf(child, wanted, within) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the demo did not come up in time")), within);
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
      if (!wanted(text)) return;
      clearTimeout(late);
      resolve();
    });
    child.once("exit", (code) => reject(new Error(`the demo ended with ${code}:\n${text}`)));
  });
}

function ended(child) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return undefined;
  return new Promise((resolve) => {
    const late = setTimeout(() => child.kill("SIGKILL"), 40_000);
    child.once("exit", () => {
      clearTimeout(late);
      resolve();
    });
  });
}
