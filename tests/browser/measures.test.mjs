// Graded measures, by clicks: what the system administrator takes about a user, and what that user is shown at once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Desk } from "./desk.mjs";
import { Ground } from "./ground.mjs";
import { talker } from "./talker.mjs";

let ground;
let alice;
let carol;
let desk;

before(async () => {
  ground = await Ground.start();
  [alice, carol, desk] = await Promise.all([ground.person("alice@north"), talker(ground, "carol@south"), Desk.open(ground, "north", "system")]);
  await alice.open("carol@south");
  await desk.go("users");
});
after(() => ground.stop());

async function opened() {
  const { page } = desk;
  if (await page.locator("dialog").count()) await page.keyboard.press("Escape");
  await page.locator('tr[data-user="alice@north"] button[aria-haspopup]').click();
  await page.getByRole("menuitem", { name: "Measures" }).click();
  await page.locator("dialog #measure").waitFor();
  return page.locator("dialog");
}

async function take(dialog, kind, words, term) {
  await dialog.locator("select").first().selectOption(kind);
  if (term) await dialog.locator("select").last().selectOption(term);
  await dialog.locator("textarea").fill(words);
  await dialog.getByRole("button", { name: "Take the measure" }).click();
  await dialog.locator(`li[data-measure="${kind}"]`, { hasText: words }).waitFor();
}

const told = () => alice.page.locator(".composer-told");
const line = () => alice.page.locator(".composer textarea");

test("who is warned reads the words at the composer until they are heeded", async () => {
  const dialog = await opened();
  await dialog.getByText("Nothing holds.").waitFor();
  await take(dialog, "warn", "mind <b>your</b> words");
  await desk.shot("console-measures");
  await desk.accessible("the measures");
  await told().getByText("mind <b>your</b> words").waitFor();
  assert.equal(await told().locator("b").count(), 0);
  await alice.shot("client-warned");
  await ground.accessible(alice.page, "a warning at the composer");
  await alice.page.getByRole("button", { name: "Understood" }).click();
  await told().getByText("mind").waitFor({ state: "detached" });
  await alice.write("sorry");
  await carol.reads("sorry");
});

test("who is muted reads on and is told until when, where one would write, and after a reload too", async () => {
  const dialog = await opened();
  await take(dialog, "mute", "until you have slept on it", "day");
  await alice.page.locator(".composer-closed", { hasText: "until you have slept on it" }).waitFor();
  await line().waitFor({ state: "hidden" });
  await carol.write("alice@north", "you can read this");
  await alice.reads("you can read this");
  await alice.shot("client-muted");
  await alice.page.reload();
  await alice.page.locator(".composer-closed", { hasText: "until you have slept on it" }).waitFor();
  assert.equal(await told().getByText("mind").count(), 0, "what was heeded is not told again");
  await dialog.locator('li[data-measure="mute"]').getByRole("button", { name: "Lift" }).click();
  await line().waitFor();
  await alice.write("good morning");
  await carol.reads("good morning");
});

test("who is limited is told how many, and what is too much waits and goes when the limit is lifted", async () => {
  const dialog = await opened();
  await dialog.locator("select").first().selectOption("limit");
  await dialog.locator("input[type=number]").fill("2");
  await take(dialog, "limit", "slowly, please", "hour");
  await told().getByText("2 messages a minute").waitFor();
  for (const text of ["limited one", "limited two", "limited three"]) await alice.write(text);
  await carol.reads("limited two");
  assert.ok(!(await carol.inbox()).includes("limited three"));
  await alice.message("limited three").locator(".state.sending").waitFor();
  await alice.shot("client-limited");
  await dialog.locator('li[data-measure="limit"]').getByRole("button", { name: "Lift" }).click();
  await told().getByText("messages a minute").waitFor({ state: "detached" });
  await carol.reads("limited three");
});

test("who is suspended is logged out, and the log-in says why and until when", async () => {
  const dialog = await opened();
  await take(dialog, "suspend", "call the desk, please", "open");
  await desk.page.keyboard.press("Escape");
  await desk.page.locator('tr[data-user="alice@north"] .tag', { hasText: "suspended" }).waitFor();
  await desk.shot("console-suspended");
  const { page } = alice;
  await page.locator("#login-user").fill("alice@north");
  await page.locator("#login-password").fill(alice.password);
  await page.locator(".login button[type=submit]").click();
  await page.locator(".login .wrong", { hasText: "call the desk, please" }).waitFor();
  await carol.write("alice@north", "for when you are back");
  await (await opened()).locator('li[data-measure="suspend"]').getByRole("button", { name: "Lift" }).click();
  await desk.page.locator("dialog li", { hasText: "suspended" }).waitFor({ state: "detached" });
  await alice.logIn();
  await alice.row("Carol").waitFor();
  await alice.row("Carol").click();
  await alice.reads("for when you are back");
});
