// Nothing that another user wrote runs, or reaches beyond its place.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Ground } from "./ground.mjs";

const ATTACKS = [
  `<img src=x onerror="window.hacked=1">`,
  `<script>window.hacked=1</script>`,
  `"><svg onload=window.hacked=1>`,
  `javascript:window.hacked=1`,
  `{{constructor.constructor('window.hacked=1')()}}`,
  `\u202Egnp.exe \u2066 hidden \u2069\u2069\u2069`,
];

let ground;
let alice;
let carol;

before(async () => {
  ground = await Ground.start();
});
after(() => ground.stop());

/** Everything that carol sees is text, and nothing ran. */
async function unharmed(person) {
  assert.equal(await person.page.evaluate(() => window.hacked), undefined);
  const strange = await person.page.evaluate(() => document.querySelectorAll("script:not([src='/web/client/main.js']), .frame [onerror], .frame [onload], .frame iframe, .frame a[href^='javascript']").length);
  assert.equal(strange, 0);
}

test("a name, an about, a remark", async () => {
  alice = await ground.person("alice@north");
  await alice.page.locator(".me").click();
  await alice.page.getByRole("menuitem", { name: "Settings" }).click();
  await alice.page.locator("dialog").getByLabel("Name").fill(`Alice ${ATTACKS[0]}`);
  await alice.page.locator("dialog").getByLabel("About").fill(ATTACKS.join(" "));
  await alice.page.locator("dialog").getByRole("button", { name: "Save" }).click();
  await alice.page.locator(".note", { hasText: "Saved" }).waitFor();
  await alice.page.keyboard.press("Escape");
  carol = await ground.person("carol@south");
  await alice.open("carol@south");
  await alice.details();
  await alice.page.locator(".details .ask textarea").fill(ATTACKS[2]);
  await alice.page.getByRole("button", { name: "Add to contacts" }).click();
  await carol.page.locator("#tab-people").click();
  await carol.page.locator(".request blockquote", { hasText: "<svg onload" }).waitFor();
  await carol.page.locator(".request .row-title", { hasText: "<img src=x" }).click();
  await carol.page.locator(".details .facts", { hasText: "<script>" }).waitFor();
  await unharmed(carol);
  await unharmed(alice);
  await carol.page.locator(".request").getByRole("button", { name: "Accept" }).click();
});

test("messages", async () => {
  for (const text of ATTACKS) await alice.write(text);
  await carol.page.locator("#tab-chats").click();
  await carol.page.locator(".side .list .row").first().click();
  await carol.reads("constructor");
  assert.equal(await carol.page.locator(".message .text").count(), ATTACKS.length);
  assert.equal(await carol.page.locator(".message a").count(), 0);
  await unharmed(carol);
  // What turns text round is kept within its own bubble: the time beside it reads as ever.
  assert.match(await carol.page.locator(".message").last().locator("time").innerText(), /^\d\d:\d\d$/);
  assert.equal(await carol.page.locator(".message .text").last().evaluate((element) => getComputedStyle(element).unicodeBidi), "plaintext");
});

test("a link leads where it says, and knows nothing of this page", async () => {
  await alice.write("see https://example.com/a?b=c, or data:text/html,x");
  const link = carol.page.locator(".message a");
  await link.waitFor();
  assert.equal(await link.getAttribute("href"), "https://example.com/a?b=c");
  assert.equal(await link.getAttribute("rel"), "noopener noreferrer nofollow");
});

test("a file's name, and what is in it", async () => {
  const html = { name: `${ATTACKS[0]}.html`.replaceAll("/", ""), mimeType: "text/html", buffer: Buffer.from("<script>window.hacked=1</script>") };
  await alice.page.locator(".composer input[type=file]").setInputFiles(html);
  await alice.page.locator("dialog").getByRole("button", { name: "Send" }).click();
  const file = carol.message("onerror");
  const [download] = await Promise.all([carol.page.waitForEvent("download"), file.getByRole("button", { name: "Download" }).click()]);
  assert.ok(download.url().startsWith("blob:"));
  await unharmed(carol);
  // A page that calls itself a picture is none.
  const lie = { name: "picture.png", mimeType: "image/png", buffer: Buffer.from("<svg onload='window.hacked=1'></svg>") };
  await alice.page.locator(".composer input[type=file]").setInputFiles(lie);
  await alice.page.locator("dialog").getByRole("button", { name: "Send" }).click();
  await carol.message("picture.png").locator(".file").waitFor();
  await unharmed(carol);
});

test("a group's name", async () => {
  await alice.page.locator(".side-head").getByRole("button", { name: "New" }).click();
  await alice.page.getByRole("menuitem", { name: "New group" }).click();
  await alice.page.getByLabel("Name of the group").fill(ATTACKS[1]);
  await alice.page.locator("dialog .ticks label").first().click();
  await alice.page.locator("dialog .primary").click();
  await alice.page.locator(".chat-head h2", { hasText: "<script>" }).waitFor();
  await carol.page.locator("#tab-people").click();
  await carol.page.locator(".request", { hasText: "<script>" }).getByRole("button", { name: "Join" }).click();
  await carol.page.locator(".chat-head h2", { hasText: "<script>" }).waitFor();
  await unharmed(carol);
  await unharmed(alice);
});

test("even a script that got into the page could not run, and could call nobody", async () => {
  ground.provoked.push(/Security Policy|TrustedHTML|TrustedScript|Content Security/);
  const { refused, violated } = await carol.page.evaluate(async () => {
    const violated = [];
    document.addEventListener("securitypolicyviolation", (event) => violated.push(event.effectiveDirective));
    const refused = [];
    const tries = [
      () => { document.body.innerHTML = "<b>x</b>"; },
      () => { document.createElement("script").text = "window.hacked = 1"; },
      () => { document.createElement("script").src = "https://example.com/x.js"; },
      () => { document.createElement("iframe").srcdoc = "<p>x</p>"; },
      () => { document.createElement("img").setAttribute("onerror", "window.hacked = 1"); },
    ];
    for (const attempt of tries) {
      try {
        attempt();
        refused.push("no");
      } catch (error) {
        refused.push(error.name);
      }
    }
    await fetch("https://example.com/").catch(() => undefined);
    const image = new Image();
    image.src = "https://example.com/x.png";
    await new Promise((resolve) => image.addEventListener("error", resolve));
    return { refused, violated };
  });
  assert.deepEqual(refused, ["TypeError", "TypeError", "TypeError", "TypeError", "TypeError"]);
  assert.ok(violated.includes("connect-src") && violated.includes("img-src"), violated.join());
  await unharmed(carol);
});

test("what the browser keeps cannot be read from its storage", async () => {
  await carol.page.locator(".composer textarea").fill("a draft that is nobody's business");
  await carol.page.waitForTimeout(800);
  const { kept, keys, other } = await carol.page.evaluate(() => new Promise((resolve) => {
    const opening = indexedDB.open("isthmus");
    opening.onsuccess = () => {
      const all = (store) => new Promise((done) => {
        const asked = opening.result.transaction(store).objectStore(store).getAll();
        asked.onsuccess = () => done(asked.result);
      });
      Promise.all([all("kept"), all("keys")]).then(([kept, keys]) => resolve({
        kept: kept.map(({ data }) => new TextDecoder().decode(data)),
        keys: keys.map((key) => key.extractable),
        other: [Object.keys(localStorage).length, Object.keys(sessionStorage).length, document.cookie],
      }));
    };
  }));
  assert.ok(kept.length >= 2, "a session and a draft");
  assert.ok(kept.every((text) => !/draft|access|token|carol/i.test(text)));
  assert.deepEqual(keys, [false]);
  assert.deepEqual(other, [0, 0, ""]);
});
