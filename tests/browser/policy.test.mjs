// What a security administrator changes while two people chat, and what the audit administrator finds of it afterwards.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { Desk } from "./desk.mjs";
import { Ground } from "./ground.mjs";
import { talker } from "./talker.mjs";

let ground;
let alice;
let carol;
let desks;

before(async () => {
  ground = await Ground.start();
  [alice, carol] = await Promise.all(["alice@north", "carol@south"].map((user) => talker(ground, user)));
  desks = { security: await Desk.open(ground, "south", "security"), audit: await Desk.open(ground, "south", "audit") };
});
after(() => ground.stop());

test("a policy is uploaded, compared, tried, shadowed and swapped in while two people chat, and rolled back", async () => {
  const desk = desks.security;
  const { page } = desk;
  // A list in force is not as its file in the bundle says.
  await page.request.post("/admin/v1/policy/lists/hold", { data: { add: ["parcel"], why: "seen in a report" }, headers: { "x-isthmus-console": "act" } });
  const folder = path.join(ground.folder, "bundle");
  fs.cpSync(ground.server("south").policyDir, folder, { recursive: true });
  fs.appendFileSync(path.join(folder, "lists/reject.txt"), "umbrella\n");
  const manifest = path.join(folder, "policy.toml");
  const hides = '\n[[plugin]]\nname = "quiet"\ncomponent = "builtin:audit-redact"\n[[plugin.settings.events]]\nfields = { messageType = "mask" }\nsinks = ["siem"]\n';
  const good = fs.readFileSync(manifest, "utf8") + hides;
  fs.writeFileSync(manifest, good.replace("[defaults]", "[defaults]\nacess = 1"));
  await desk.go("policy");
  await page.getByRole("button", { name: "Add a bundle" }).click();
  await page.locator("dialog input[type=file]").setInputFiles(folder);
  await page.locator("dialog .primary").click();
  await page.locator("dialog .diagnostics", { hasText: "acess" }).waitFor();
  await desk.shot("console-diagnostics");
  fs.writeFileSync(manifest, good);
  await page.locator("dialog input[type=file]").setInputFiles(folder);
  await page.locator("dialog input").last().fill("no umbrellas");
  await page.locator("dialog .primary").click();
  // It is kept, and what the file of a changed list says is told.
  await page.locator("dialog", { hasText: "waits" }).locator(".primary").click();
  const staged = page.locator(".staged li");
  await staged.waitFor();
  await staged.getByRole("button", { name: "Compare" }).click();
  await page.locator("dialog .changes", { hasText: "umbrella" }).waitFor();
  await desk.shot("console-diff");
  await page.keyboard.press("Escape");
  await staged.getByRole("button", { name: "Run its tests" }).click();
  await page.locator("dialog", { hasText: "All plugins start" }).waitFor();
  await page.keyboard.press("Escape");
  await staged.getByRole("button", { name: "Shadow" }).click();
  await page.locator(".panel", { hasText: "listening" }).waitFor();
  await alice.write("carol@south", "take an umbrella");
  await carol.reads("take an umbrella");
  await page.locator("details summary", { hasText: "rejected" }).waitFor();
  // What the audit log would hold otherwise; what is opened stays open when more comes.
  const record = page.locator("details", { hasText: /1 time, .*messageType.*kept.*masked/ });
  await record.locator("summary").click();
  await alice.write("carol@south", "hello again");
  await page.locator("details[open]", { hasText: /2 times, .*messageType/ }).locator("code", { hasText: "message.send" }).first().waitFor();
  await page.locator("details", { hasText: /further places.*none.*siem/ }).waitFor();
  await desk.shot("console-shadow");
  await page.getByRole("button", { name: "Stop", exact: true }).click();

  let stop = false;
  const chatting = (async () => {
    let n = 0;
    for (; !stop; n += 1) await alice.write("carol@south", `meanwhile ${n}`);
    return n;
  })();
  await staged.getByRole("button", { name: "Activate" }).click();
  await page.locator("dialog input").fill("it rains");
  await page.locator("dialog .primary").click();
  await page.locator("dialog", { hasText: "is active" }).waitFor();
  await page.locator("dialog .primary").click();
  await alice.write("carol@south", "no umbrella any more");
  stop = true;
  const written = await chatting;
  assert.ok(written > 0);
  await carol.reads(`meanwhile ${written - 1}`);
  const inbox = await carol.inbox();
  for (let n = 0; n < written; n += 1) assert.ok(inbox.includes(`meanwhile ${n}"`), `meanwhile ${n} of ${written}`);
  assert.ok(!inbox.includes("no umbrella any more"));
  await page.locator("tr[data-generation]", { hasText: "it rains" }).locator(".tag", { hasText: "active" }).waitFor();
  await desk.shot("console-policy");

  await page.locator("tr[data-generation]").nth(1).getByRole("button").click();
  await page.getByRole("menuitem", { name: "Roll back" }).click();
  await page.locator("dialog input").fill("the sun is out");
  await page.locator("dialog .primary").click();
  await page.locator("dialog", { hasText: "is active" }).waitFor();
  await page.locator("dialog .primary").click();
  await alice.write("carol@south", "an umbrella after all");
  await carol.reads("an umbrella after all");
});

test("a server is blocked and allowed again", async () => {
  const desk = desks.security;
  await desk.go("peers");
  const north = desk.page.locator('tr[data-peer="north"]');
  await alice.write("carol@south", "before");
  await carol.reads("before");
  await north.locator(".tag", { hasText: "up" }).waitFor();
  await desk.shot("console-peers");
  await north.getByRole("button", { name: "Block" }).click();
  await desk.page.locator("dialog input").fill("for a test");
  await desk.page.locator("dialog .danger").click();
  await north.locator(".tag", { hasText: "blocked" }).waitFor();
  await alice.write("carol@south", "does this come through");
  await north.getByRole("button", { name: "Allow" }).click();
  await desk.page.locator("dialog input").fill("the test is over");
  await desk.page.locator("dialog .primary").click();
  await north.locator(".tag", { hasText: "blocked" }).waitFor({ state: "detached" });
  await alice.write("carol@south", "and now");
  await carol.reads("and now");
  assert.ok(!(await carol.inbox()).includes("does this come through"));
});

test("what was done is found in the log under its doer's name, exported, and the log verified", async () => {
  const desk = desks.audit;
  const { page } = desk;
  await desk.go("audit");
  await page.getByLabel("Who (actor or target)").fill("admin:secadmin");
  await page.getByLabel("Operation").fill("policy.*");
  await page.getByRole("button", { name: "Search" }).click();
  await page.locator("tr[data-record]", { hasText: "policy.rollback" }).first().waitFor();
  assert.match(await page.locator("tr[data-record] time").first().textContent(), /\d\d:\d\d:\d\d/, "a log is read to the second");
  await page.locator("tr[data-record]").first().getByRole("button").click();
  await page.locator("tr.details .record").first().waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const text = fs.readFileSync(await (await download).path(), "utf8");
  const records = text.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(records.length >= 5 && records.every(({ actor, operation }) => actor === "admin:secadmin" && operation.startsWith("policy.")), text);
  await page.getByRole("button", { name: "Verify" }).click();
  await page.locator(".verdict.whole", { hasText: "The log is whole" }).waitFor();
  await desk.accessible("the audit page with a record open");
  await desk.shot("console-audit");
});
