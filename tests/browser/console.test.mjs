// The console of a server, by clicks: three administrators, each at a desk of its own, while two people chat.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { Desk, OWN } from "./desk.mjs";
import { Ground, ROOT } from "./ground.mjs";
import { talker } from "./talker.mjs";

const WORDS = path.join(ROOT, "host/node/web/console");

let ground;
let alice;
let carol;
const desks = {};

before(async () => {
  ground = await Ground.start();
  [alice, carol] = await Promise.all(["alice@north", "carol@south"].map((user) => talker(ground, user)));
});
after(() => ground.stop());

test("the dictionaries have the same keys with the same values in them, and the pages use all of them", async () => {
  const load = async (name) => (await import(`data:text/javascript,${encodeURIComponent(fs.readFileSync(path.join(WORDS, "words", `${name}.js`), "utf8"))}`)).default;
  const [en, zh] = [await load("en"), await load("zh")];
  assert.deepEqual(Object.keys(zh), Object.keys(en));
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([value]) => value).sort();
  for (const key of Object.keys(en)) assert.deepEqual(values(zh[key]), values(en[key]), key);
  const folders = [WORDS, path.join(WORDS, "view"), path.join(WORDS, "../shared")];
  const text = folders.flatMap((folder) => fs.readdirSync(folder).filter((name) => name.endsWith(".js")).map((name) => fs.readFileSync(path.join(folder, name), "utf8"))).join("\n");
  const plural = (key) => key.replace(/\.(one|other)$/, "");
  const known = new Set(Object.keys(en).flatMap((key) => [key, plural(key)]));
  const console_ = folders.slice(0, 2).flatMap((folder) => fs.readdirSync(folder).filter((name) => name.endsWith(".js")).map((name) => fs.readFileSync(path.join(folder, name), "utf8"))).join("\n");
  const used = [...console_.matchAll(/\bt\(\s*"([^"]+)"/g)].map(([, key]) => key);
  assert.deepEqual(used.filter((key) => !known.has(key)), []);
  const patterns = [...text.matchAll(/`((?:[a-z.]|\$\{[^}]+\})+)`/g)].map(([, pattern]) => new RegExp(`^${pattern.replaceAll(".", "\\.").replace(/\$\{[^}]+\}/g, ".+")}$`)).filter((pattern) => /[a-z]/.test(String(pattern)));
  const unused = [...new Set(Object.keys(en).map(plural))].filter((key) => !text.includes(`"${key}"`) && !patterns.some((pattern) => pattern.test(key)));
  assert.deepEqual(unused, []);
});

test("a one-time password lets in to choose another, and a wrong one does not", async () => {
  const desk = await Desk.at(ground, "south", "security");
  const { first } = desk;
  await desk.shot("console-login");
  await desk.accessible("the log-in page");
  await desk.enter("a guess");
  await desk.page.locator(".login .wrong", { hasText: "wrong" }).waitFor();
  await desk.enter(first);
  await desk.page.locator("#password-old").fill(first);
  await desk.page.locator("#password-new").fill("short");
  await desk.page.locator("#password-again").fill("short");
  await desk.page.locator(".login button[type=submit]").click();
  await desk.page.locator(".login .wrong", { hasText: "12 characters" }).waitFor();
  await desk.shot("console-first");
  await desk.page.locator("#password-new").fill(OWN);
  await desk.page.locator("#password-again").fill(OWN);
  await desk.page.locator(".login button[type=submit]").click();
  await desk.page.locator(".console").waitFor();
  await desk.page.reload();
  await desk.page.locator(".console").waitFor();
  desks.security = desk;
});

test("each role has its own pages and no other", async () => {
  desks.system = await Desk.open(ground, "south", "system");
  desks.audit = await Desk.open(ground, "south", "audit");
  const pages = { system: ["overview", "peers", "users"], security: ["overview", "peers", "policy", "lists", "held"], audit: ["overview", "policy", "audit"] };
  for (const [role, own] of Object.entries(pages)) {
    const { page } = desks[role];
    assert.deepEqual(await page.locator("nav a").evaluateAll((links) => links.map((link) => link.dataset.page)), own);
    await page.evaluate(() => { location.hash = "#/nothing"; });
    await page.locator('nav a[data-page="overview"][aria-current]').waitFor();
    for (const key of own) {
      await desks[role].go(key);
      await page.waitForLoadState("networkidle").catch(() => undefined);
      await desks[role].accessible(`${key} as ${role}`);
      await desks[role].fits(`${key} as ${role}`);
    }
  }
});

test("the overview shows what goes on while people chat", async () => {
  const desk = desks.system;
  await desk.go("overview");
  for (let n = 0; n < 30; n += 1) await alice.write("carol@south", `line ${n}`);
  await carol.reads("line 29");
  await desk.page.locator(".tile", { hasText: "Messages a second" }).locator("small", { hasText: /^3\d since|^[4-9]\d since/ }).waitFor();
  await desk.page.locator("tbody tr", { hasText: "words" }).locator(".tag", { hasText: "pass" }).waitFor();
  await desk.page.locator(".chart .line").first().waitFor({ state: "attached" });
  await desk.shot("console-overview");
});

test("a word is put on a list in place, and judges the next message", async () => {
  const desk = desks.security;
  await desk.go("lists");
  await desk.page.locator('[data-list="hold"]').click();
  await desk.page.locator(".entries li", { hasText: "suspicious" }).waitFor();
  await desk.page.locator(".add textarea").fill("parcel\n包裹");
  await desk.page.getByRole("button", { name: "Add", exact: true }).click();
  await desk.page.locator(".entries li", { hasText: "可疑" }).getByRole("button").click();
  await desk.page.locator(".save strong", { hasText: "2 to add, 1 to remove" }).waitFor();
  await desk.shot("console-lists");
  await desk.page.locator(".save input").fill("seen in a report");
  await desk.page.locator(".save .primary").click();
  await desk.page.locator(".edits li", { hasText: "seen in a report" }).waitFor();
  await alice.write("carol@south", "可疑 is allowed now");
  await carol.reads("可疑 is allowed now");
  await alice.write("carol@south", "a parcel for you");
  await alice.write("carol@south", "another parcel <img src=x onerror=alert(1)>");
});

test("a held message is looked at, released or dropped", async () => {
  const desk = desks.security;
  await desk.go("held");
  await desk.page.locator(".held-one", { hasText: "a parcel for you" }).waitFor();
  const evil = desk.page.locator(".held-one", { hasText: "<img src=x" });
  await evil.waitFor();
  assert.equal(await desk.page.locator("#content img").count(), 0);
  await desk.shot("console-held");
  assert.ok(!(await carol.inbox()).includes("parcel for you"));
  await desk.page.locator(".held-one", { hasText: "a parcel for you" }).getByRole("button", { name: "Release" }).click();
  await carol.reads("a parcel for you");
  await evil.getByRole("button", { name: "Drop" }).click();
  await desk.page.locator("dialog input").fill("no markup, please");
  await desk.page.locator("dialog .danger").click();
  await desk.page.getByText("Nothing is held.").waitFor();
});

test("a user is made, given another password, logged out and disabled", async () => {
  const desk = desks.system;
  const { page } = desk;
  await desk.go("users");
  await page.getByRole("button", { name: "New user" }).click();
  await page.locator("dialog input").nth(0).fill("erin");
  await page.locator("dialog input").nth(1).fill("Erin 艾琳");
  await desk.shot("console-newuser");
  await page.locator("dialog .primary").click();
  const erin = page.locator('tr[data-user="erin@south"]');
  await erin.waitFor();
  await desk.shot("console-users");
  const act = async (who, what) => {
    await page.locator(`tr[data-user="${who}"]`).getByRole("button").click();
    await page.getByRole("menuitem", { name: what }).click();
  };
  await act("erin@south", "Reset password");
  await page.locator("dialog .primary").click();
  await page.locator(".note", { hasText: "new password" }).waitFor();
  await act("carol@south", "Devices");
  await page.locator(".devices li", { hasText: "Browser test" }).waitFor();
  await desk.shot("console-devices");
  await page.keyboard.press("Escape");
  await act("erin@south", "Disable");
  await page.locator("dialog .danger").click();
  await erin.locator(".tag", { hasText: "disabled" }).waitFor();
});

test("in Chinese, in the dark, on a phone", async () => {
  const desk = await Desk.open(ground, "north", "security", { locale: "zh-CN", colorScheme: "dark" });
  await desk.page.getByRole("heading", { name: "概览" }).waitFor();
  await desk.page.locator(".chart .line").first().waitFor({ state: "attached" });
  await desk.shot("console-zh-dark");
  await desk.go("policy");
  await desk.page.locator(".chain li").first().waitFor();
  await desk.accessible("the policy in the dark");
  await desk.shot("console-zh-policy");
  const phone = await Desk.open(ground, "south", "security", { viewport: { width: 360, height: 740 }, phone: true });
  for (const key of ["overview", "peers", "policy", "lists", "held"]) {
    await phone.go(key);
    await phone.page.waitForLoadState("networkidle").catch(() => undefined);
    await phone.fits(`${key} on a phone`);
    await phone.shot(`console-phone-${key}`);
  }
});

test("a second factor is set up, asked for at the next log-in, and one's session ends when one logs out", async () => {
  const { page } = desks.system;
  const mine = async (what) => {
    await page.locator(".me").click();
    await page.getByRole("menuitem", { name: what }).click();
  };
  await mine("Set up second factor");
  await page.locator("dialog canvas.qr").waitFor();
  await desks.system.accessible("the second factor");
  await desks.system.shot("console-totp");
  const secret = (await page.locator("dialog .letters").textContent()).replaceAll(" ", "");
  await page.locator("dialog input").fill("000000");
  await page.locator("dialog .primary").click();
  await page.locator(".note", { hasText: "does not fit" }).waitFor();
  const step = Math.floor(Date.now() / 30_000);
  await page.locator("dialog input").fill(oneTime(secret, step));
  await page.locator("dialog .primary").click();
  await page.locator(".note", { hasText: "second factor is set up" }).waitFor();
  await mine("Log out");
  await page.locator("#login-name").waitFor();
  await page.reload();
  await page.locator("#login-name").waitFor();
  await desks.system.enter(OWN);
  await page.locator("#login-code").waitFor();
  await desks.system.shot("console-code");
  // No code serves twice; the next one is taken a step early.
  await page.locator("#login-code").fill(oneTime(secret, Math.max(step + 1, Math.floor(Date.now() / 30_000))));
  await page.locator(".login button[type=submit]").click();
  await page.locator(".console").waitFor();
});

/** What an authenticator shows in a step of thirty seconds (RFC 6238). */
function oneTime(letters, step) {
  const bits = [...letters].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const tag = createHmac("sha1", key).update(counter).digest();
  return String((tag.readUInt32BE(tag.at(-1) & 15) & 0x7fff_ffff) % 1_000_000).padStart(6, "0");
}
