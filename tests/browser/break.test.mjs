// A server that is killed and comes back: nothing is lost, nothing comes twice, nobody has to do anything.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Ground } from "./ground.mjs";

let ground;
let alice;
let carol;

before(async () => {
  ground = await Ground.start();
  alice = await ground.person("alice@north");
  carol = await ground.person("carol@south");
  await alice.open("carol@south");
  await alice.write("before");
  await carol.row("Alice").click();
  await carol.reads("before");
});
after(() => ground.stop());

test("what is written while the server is away is sent when it is back, once and in order", async () => {
  await ground.kill("north");
  await alice.page.locator(".connection").waitFor();
  const texts = ["one, written offline", "two, written offline", "three, written offline"];
  for (const text of texts) await alice.write(text);
  await alice.state("three, written offline", "sending");
  await alice.shot("offline");
  await carol.write("to a server that is away");
  ground.startAgain("north");
  await alice.connected();
  await carol.reads("three, written offline");
  await alice.reads("to a server that is away");
  await alice.state("three, written offline", "delivered");
  const read = await carol.page.locator(".message .text").allTextContents();
  assert.deepEqual(read.filter((text) => text.includes("offline")), texts);
});

test("a reader whose server was away catches up from where it was", async () => {
  await ground.kill("south");
  await carol.page.locator(".connection").waitFor();
  await alice.write("while south was away");
  await alice.state("while south was away", "kept");
  ground.startAgain("south");
  await carol.connected();
  await carol.reads("while south was away");
  await alice.state("while south was away", "delivered");
  assert.equal(await carol.page.locator(".message", { hasText: "while south was away" }).count(), 1);
});

test("an unsent message outlives its page", async () => {
  await ground.kill("north");
  await alice.page.locator(".connection").waitFor();
  await alice.write("written, then reloaded");
  await alice.state("written, then reloaded", "sending");
  await alice.keeps("unsent");
  ground.startAgain("north");
  await ground.until(() => alice.page.reload().then((reply) => reply?.ok(), () => false));
  await carol.reads("written, then reloaded");
  // A page that the browser could not load for a while has no history: no chat is open then.
  await alice.row("Carol").click();
  await alice.state("written, then reloaded", "delivered");
  assert.equal(await carol.page.locator(".message", { hasText: "written, then reloaded" }).count(), 1);
});

test("a session that was revoked elsewhere leads back to the log-in page", async () => {
  const desk = await ground.person("alice@north");
  await desk.page.locator(".me").click();
  await desk.page.getByRole("menuitem", { name: "Settings" }).click();
  await desk.page.locator(".device").filter({ hasNotText: "This device" }).getByRole("button", { name: "Log out" }).first().click();
  await alice.page.locator("#login-user").waitFor();
});
