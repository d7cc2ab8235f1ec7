// How it looks and is reached: both languages, a phone, light and dark, the keyboard, assistive technology.

import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "node:test";
import path from "node:path";
import { Ground, ROOT } from "./ground.mjs";

const WEB = path.join(ROOT, "host/node/web");

let ground;

before(async () => {
  ground = await Ground.start();
});
after(() => ground.stop());

const accessible = (person, where) => ground.accessible(person.page, where);

/** Nothing is wider than the window. */
async function fits(person, where) {
  const wide = await person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${where} is ${wide} pixels too wide`);
}

const DICTIONARIES = { client: ["client", "client/view", "shared"], console: ["console", "console/view"] };

async function dictionary(pages, language) {
  const text = fs.readFileSync(path.join(WEB, pages, "words", `${language}.js`), "utf8");
  return (await import(`data:text/javascript,${encodeURIComponent(text)}`)).default;
}

for (const [pages, folders] of Object.entries(DICTIONARIES)) {
  test(`the dictionaries of the ${pages} have the same keys, with the same values in them`, async () => {
    const [en, zh] = [await dictionary(pages, "en"), await dictionary(pages, "zh")];
    assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
    const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([value]) => value).sort();
    for (const key of Object.keys(en)) assert.deepEqual(values(zh[key]), values(en[key]), key);
  });

  test(`every key that the ${pages} uses is in its dictionaries`, async () => {
    const en = await dictionary(pages, "en");
    const scripts = folders.flatMap((folder) => {
      const at = path.join(WEB, folder);
      return fs.readdirSync(at).filter((name) => name.endsWith(".js")).map((name) => fs.readFileSync(path.join(at, name), "utf8"));
    });
    const text = scripts.join("\n");
    const plural = (key) => key.replace(/\.(one|other)$/, "");
    const known = new Set(Object.keys(en).flatMap((key) => [key, plural(key)]));
    const used = new Set([...text.matchAll(/\bt\(\s*"([^"]+)"/g)].map(([, key]) => key));
    assert.deepEqual([...used].filter((key) => !known.has(key)), []);
    if (pages !== "client") return;
    // And the other way round, where every key stands whole or as a pattern in the scripts.
    const patterns = [...text.matchAll(/`((?:[a-z.]|\$\{[^}]+\})+)`/g)]
      .map(([, pattern]) => new RegExp(`^${pattern.replaceAll(".", "\\.").replace(/\$\{[^}]+\}/g, ".+")}$`)).filter((pattern) => /[a-z]/.test(String(pattern)));
    const unused = [...new Set(Object.keys(en).map(plural))].filter((key) => !text.includes(`"${key}"`) && !patterns.some((pattern) => pattern.test(key)));
    assert.deepEqual(unused, []);
  });
}

test("the page is in the browser's language, and in another one by choice", async () => {
  const dave = await ground.window("dave@south", { locale: "zh-CN" });
  await dave.page.getByRole("button", { name: "登录" }).waitFor();
  assert.equal(await dave.page.locator("html").getAttribute("lang"), "zh-CN");
  await dave.shot("zh-login");
  await accessible(dave, "the Chinese log-in page");
  await dave.logIn();
  await dave.open("carol@south");
  await dave.write("你好，卡罗尔！");
  await dave.state("你好，卡罗尔！", "delivered");
  await dave.shot("zh-chat");
  await dave.page.locator(".me").click();
  await dave.page.getByRole("menuitem", { name: "设置" }).click();
  await dave.shot("zh-settings");
  await dave.page.getByLabel("语言").selectOption("en");
  await dave.page.getByPlaceholder("Write a message").waitFor();
  await dave.page.reload();
  await dave.page.getByPlaceholder("Write a message").waitFor();
});

test("on a phone one thing is shown at a time, nothing is too wide, and back leads back", async () => {
  const carol = await ground.person("carol@south", { viewport: { width: 360, height: 740 }, phone: true });
  await fits(carol, "the list");
  await carol.shot("phone-list");
  await carol.row("Dave").click();
  await carol.reads("你好，卡罗尔！");
  assert.ok(!(await carol.page.locator(".side").isVisible()));
  await carol.write("averylongwordwithoutanyspaceinitthatgoesonandonandonandonandonandonandonandonandon");
  await carol.write("And a text of a usual length, that takes some lines on a phone but is read with ease.");
  await fits(carol, "the chat");
  await carol.shot("phone-chat");
  await accessible(carol, "the chat on a phone");
  await carol.page.locator(".chat-head .title").click();
  await carol.page.locator(".details").waitFor();
  await fits(carol, "the details");
  await carol.shot("phone-details");
  await carol.page.locator(".details-head").getByRole("button", { name: "Close" }).click();
  await carol.page.getByRole("button", { name: "Back" }).click();
  await carol.page.locator(".side").waitFor();
  await carol.page.goForward();
  await carol.page.locator(".composer").waitFor();
  await carol.page.goBack();
  await carol.page.locator(".side").waitFor();
});

test("light and dark, by the system and by choice", async () => {
  const alice = await ground.person("alice@north", { colorScheme: "dark" });
  await alice.open("bob@north");
  await alice.write("In the dark");
  await alice.state("In the dark", "delivered");
  const background = () => alice.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await alice.shot("dark");
  await accessible(alice, "the dark page");
  await alice.page.locator(".me").click();
  await alice.page.getByRole("menuitem", { name: "Settings" }).click();
  await accessible(alice, "the settings");
  await alice.page.getByLabel("Colours").selectOption("light");
  await ground.until(async () => (await background()) !== dark);
  await alice.page.keyboard.press("Escape");
  await accessible(alice, "the light page");
});

test("who chose so is notified of what comes while nobody looks, and is led to it", async () => {
  const bob = await ground.person("bob@north");
  await bob.page.addInitScript(() => {
    globalThis.told = [];
    Object.defineProperty(document, "visibilityState", { get: () => (globalThis.away ? "hidden" : "visible") });
    globalThis.Notification = class {
      static permission = "default";
      static async requestPermission() {
        return (this.permission = "granted");
      }
      constructor(title, { body }) {
        Object.assign(this, { title, body });
        told.push(this);
      }
      close() {}
    };
  });
  await bob.page.reload();
  await bob.connected();
  const alice = await ground.person("alice@north");
  await alice.open("bob@north");
  const told = () => bob.page.evaluate(() => told.map(({ title, body }) => `${title}: ${body}`));
  const away = (value) => bob.page.evaluate((is) => { globalThis.away = is; }, value);
  await away(true);
  await alice.write("nobody asked to be told");
  await bob.row("nobody asked to be told").waitFor();
  assert.deepEqual(await told(), []);
  await bob.page.locator(".me").click();
  await bob.page.getByRole("menuitem", { name: "Settings" }).click();
  await bob.page.getByLabel("Notify me").check();
  await bob.page.keyboard.press("Escape");
  await away(false);
  await alice.write("seen as it comes");
  await bob.row("seen as it comes").waitFor();
  await away(true);
  await alice.write("for later");
  await ground.until(async () => (await told()).length > 0);
  assert.deepEqual(await told(), ["Alice: for later"]);
  await away(false);
  await bob.page.evaluate(() => told[0].onclick());
  await bob.reads("for later");
});

test("without a mouse: search, chats, messages, menus, and always a way back", async () => {
  const bob = await ground.person("bob@north");
  const { page } = bob;
  const focused = (selector) => ground.until(() => page.evaluate((wanted) => document.activeElement?.matches(wanted), selector));
  await page.keyboard.press("/");
  await focused(".search");
  await page.keyboard.type("Alice");
  await page.keyboard.press("ArrowDown");
  await focused(".found .row");
  await page.keyboard.press("Enter");
  await focused(".composer textarea");
  await page.keyboard.type("by keys alone");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("in two lines");
  await page.keyboard.press("Enter");
  await bob.reads("by keys alone");
  await page.keyboard.press("ArrowUp");
  await focused(".message");
  // The row is made anew when its message is kept and delivered: the focus stays in it.
  await bob.state("by keys alone", "delivered");
  await focused(".message");
  await bob.shot("keys");
  await page.keyboard.press("Enter");
  await focused(".menu button");
  await page.keyboard.press("Escape");
  await focused(".message");
  await page.keyboard.press("Escape");
  await focused(".composer textarea");
  await page.keyboard.press("Escape");
  await page.locator(".nothing").waitFor();
  await page.keyboard.press("Alt+ArrowDown");
  await page.locator(".composer").waitFor();
  // The focus may come to the composer only after the first Escape: then the key is a text.
  await ground.until(async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.waitForTimeout(300);
    return (await page.locator("dialog .keys").count()) > 0;
  });
  await bob.shot("shortcuts");
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
});

test("a long conversation is read back page by page, and stays where it is while more comes", async () => {
  const bob = ground.people.find((person) => person.userID === "bob@north");
  const alice = await ground.person("alice@north");
  await alice.open("bob@north");
  await bob.row("Alice").click();
  const post = await ground.api("alice@north");
  for (let n = 0; n < 120; n += 1) await post("messages", { clientID: `line-${n}`, recvID: "bob@north", text: `line ${n}` });
  await bob.reads("line 119");
  await ground.until(async () => {
    await bob.page.locator(".flow").evaluate((flow) => flow.scrollTo(0, 0));
    return (await bob.page.locator(".message", { hasText: /^line 0\b/ }).count()) > 0 || (await bob.page.getByText("line 0", { exact: true }).count()) > 0;
  });
  await bob.page.getByText("line 20", { exact: true }).evaluate((element) => element.scrollIntoView());
  const top = () => bob.page.getByText("line 20", { exact: true }).evaluate((element) => Math.round(element.getBoundingClientRect().top));
  await ground.until(async () => {
    const now = await top();
    await bob.page.waitForTimeout(200);
    return now === (await top());
  });
  const before = await top();
  await alice.write("one more");
  await bob.page.locator(".jump .badge", { hasText: "1" }).waitFor();
  assert.equal(await top(), before);
  await bob.shot("scrolled");
  await bob.page.locator(".jump").click();
  await bob.page.locator(".jump").waitFor({ state: "hidden" });
});
