// The console of the platform, by clicks: servers are let in, turned away, suspended and resumed by people.

import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "node:test";
import { Applicant } from "./applicant.mjs";
import { Desk } from "./desk.mjs";
import { Ground } from "./ground.mjs";
import { talker } from "./talker.mjs";

const PAGES = {
  system: ["overview", "applications", "servers", "certificates"],
  security: ["overview", "applications", "servers", "certificates"],
  audit: ["overview", "applications", "servers", "certificates", "audit"],
};

let ground;
let west;
const desks = {};

before(async () => {
  ground = await Ground.start();
  west = new Applicant(ground.record.platform.url, "west");
});
after(() => ground.stop());

test("each role logs in with a password of its own choice and has its own pages", async () => {
  for (const [role, own] of Object.entries(PAGES)) {
    const desk = await Desk.at(ground, "platform", role);
    if (role === "system") {
      await desk.page.getByRole("heading", { name: "Isthmus platform" }).waitFor();
      await desk.accessible("the log-in page");
      await desk.shot("platform-login");
    }
    desks[role] = await desk.logIn();
    assert.deepEqual(await desk.page.locator("nav a").evaluateAll((links) => links.map((link) => link.dataset.page)), own);
    await desk.page.evaluate(() => { location.hash = "#/users"; });
    await desk.page.locator('nav a[data-page="overview"][aria-current]').waitFor();
  }
});

test("a server that applies is seen by all, decided by one, and registered with a certificate", async () => {
  const id = await west.register("West <b>Bank</b>", 31_000);
  const { page } = desks.system;
  await page.locator("tbody tr", { hasText: "West <b>Bank</b>" }).waitFor();
  await page.locator(".tile.warn", { hasText: "Applications" }).waitFor();
  await desks.system.shot("platform-overview");
  await page.getByRole("link", { name: "Review" }).click();
  const card = page.locator(`[data-application="${id}"]`);
  await card.locator("dd", { hasText: "West Bank Ltd" }).waitFor();
  assert.equal(await page.locator("#content b:not(.badge)").count(), 0, "a name is text");
  await desks.system.accessible("an application");
  await desks.system.shot("platform-application");
  for (const role of ["security", "audit"]) {
    await desks[role].go("applications");
    await desks[role].page.locator(`[data-application="${id}"]`).waitFor();
    assert.equal(await desks[role].page.locator(`[data-application="${id}"] button`).count(), 0, `${role} decides nothing`);
  }
  await card.getByRole("button", { name: "Approve" }).click();
  await page.locator("dialog input").fill("contract of November");
  await page.locator("dialog .primary").click();
  await card.waitFor({ state: "detached" });
  await page.locator('tr[data-server="west"]', { hasText: "contract of November" }).locator(".tag", { hasText: "approved" }).waitFor();
  const outcome = await west.outcome();
  assert.equal(outcome.state, "approved");
  await desks.system.go("servers");
  await page.locator('tr[data-server="west"]').locator(".tag", { hasText: "normal" }).waitFor();
  await desks.system.go("certificates");
  await page.locator('tr[data-server="west"]').locator(".tag", { hasText: "valid" }).waitFor();
});

test("a change stands side by side with what is, and is rejected with a reason that the applicant reads", async () => {
  const id = await west.change({ serverName: "West Bank", serverAddress: "https://127.0.0.1:31001", contactName: "Wu Wei 吴伟" });
  const { page } = desks.system;
  await desks.system.go("applications");
  const card = page.locator(`[data-application="${id}"]`);
  await card.locator("header", { hasText: "West <b>Bank</b>" }).waitFor();
  const address = card.locator('tr[data-field="serverAddress"].differs');
  await address.waitFor();
  assert.deepEqual(await address.locator("td").allTextContents(), ["Address", "https://127.0.0.1:31000", "https://127.0.0.1:31001"]);
  assert.match(await card.locator('tr[data-field="contactName"]:not(.differs)').textContent(), /as before/);
  assert.match(await card.locator('tr[data-field="area"]').textContent(), /CN-SC.*stays/);
  await desks.system.accessible("a change");
  await desks.system.shot("platform-change");
  await card.getByRole("button", { name: "Reject" }).click();
  await page.locator("dialog input").fill("the new address is not yours");
  await desks.system.shot("platform-reject");
  await page.locator("dialog .danger").click();
  await card.waitFor({ state: "detached" });
  const outcome = await west.outcome();
  assert.deepEqual([outcome.state, outcome.reason], ["rejected", "the new address is not yours"]);
  await page.locator('tr[data-server="west"]', { hasText: "the new address is not yours" }).getByRole("button").click();
  await page.locator("dialog tr.differs", { hasText: "31001" }).waitFor();
  await page.keyboard.press("Escape");
  await desks.system.shot("platform-decided");
});

test("a server that wants to leave says why, and is asked to stay", async () => {
  const id = await west.leave("we are closing down");
  const { page } = desks.system;
  await desks.system.go("applications");
  const card = page.locator(`[data-application="${id}"]`);
  await card.locator("blockquote", { hasText: "we are closing down" }).waitFor();
  await card.locator("button.danger", { hasText: "Approve" }).waitFor();
  await desks.system.accessible("a deregistration");
  await desks.system.shot("platform-leaving");
  await card.getByRole("button", { name: "Reject" }).click();
  await page.locator("dialog input").fill("please stay until December");
  await page.locator("dialog .danger").click();
  await card.waitFor({ state: "detached" });
  assert.equal((await west.outcome()).state, "rejected");
});

test("nobody writes to a server that is suspended, and what is written flows when it is resumed", async () => {
  const [alice, carol] = await Promise.all(["alice@north", "carol@south"].map((user) => talker(ground, user)));
  await alice.write("carol@south", "before the suspension");
  await carol.reads("before the suspension");
  const { page } = desks.system;
  await desks.system.go("servers");
  const south = page.locator('tr[data-server="south"]');
  const act = async (what, why) => {
    await south.getByRole("button").click();
    await page.getByRole("menuitem", { name: what }).click();
    await page.locator("dialog input").first().fill(why);
    await page.locator("dialog button[type=submit]").click();
  };
  await act("Suspend", "spam from there");
  await south.locator(".tag", { hasText: "suspended" }).waitFor();
  await desks.system.shot("platform-servers");
  await ground.until(async () => (await alice.write("carol@south", "while it is suspended")).code === 1202);
  await act("Resume", "it was a mistake");
  await south.locator(".tag", { hasText: "normal" }).waitFor();
  await ground.until(async () => (await alice.write("carol@south", "after the suspension")).code === 0);
  await carol.reads("after the suspension");
  for (const role of ["security", "audit"]) {
    await desks[role].go("servers");
    await desks[role].page.locator('tr[data-server="south"]').getByRole("button").click();
    assert.deepEqual(await desks[role].page.getByRole("menuitem").allTextContents(), ["Details"]);
    await desks[role].page.keyboard.press("Escape");
  }
});

test("a server is deregistered by nobody's slip, and its certificate is revoked", async () => {
  const { page } = desks.system;
  await desks.system.go("servers");
  const row = page.locator('tr[data-server="west"]');
  await row.getByRole("button").click();
  await page.getByRole("menuitem", { name: "Deregister" }).click();
  await page.locator("dialog input").first().fill("the contract has ended");
  await page.locator("dialog input").last().fill("south");
  await page.locator("dialog .danger").click();
  await page.locator("dialog .wrong", { hasText: "not the ID" }).waitFor();
  await desks.system.shot("platform-deregister");
  await page.locator("dialog input").last().fill("west");
  await page.locator("dialog .danger").click();
  await row.locator(".tag", { hasText: "deregistered" }).waitFor();
  await desks.system.go("certificates");
  await page.locator('tr[data-server="west"]').locator(".tag", { hasText: "revoked" }).waitFor();
  await page.getByLabel("Which certificates").selectOption("revoked");
  await page.locator('tr[data-server="south"]').waitFor({ state: "detached" });
  await desks.system.shot("platform-certificates");
});

test("what the platform's administrators did is found under their names, exported, and its log verified", async () => {
  const { page } = desks.audit;
  await desks.audit.go("audit");
  await page.getByLabel("Who (actor or target)").fill("admin:sysadmin");
  await page.getByLabel("Operation").fill("registry.*");
  await page.getByRole("button", { name: "Search" }).click();
  await page.locator("tr[data-record]", { hasText: "registry.suspend" }).waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const text = fs.readFileSync(await (await download).path(), "utf8");
  const acts = text.trim().split("\n").map((line) => JSON.parse(line)).map(({ operation, target }) => `${operation} ${target}`);
  assert.deepEqual(acts.reverse(), ["registry.approve west", "registry.reject west", "registry.reject west", "registry.suspend south", "registry.resume south", "registry.deregister west"]);
  await page.getByRole("button", { name: "Verify" }).click();
  await page.locator(".verdict.whole", { hasText: "The log is whole" }).waitFor();
  await desks.audit.accessible("the platform's log");
  await desks.audit.shot("platform-audit");
});

test("all of it fits a phone, in Chinese and in the dark too, and axe finds nothing serious", async () => {
  await new Applicant(ground.record.platform.url, "east").register("East", 31_002);
  const wide = await Desk.open(ground, "platform", "audit", { locale: "zh-CN", colorScheme: "dark" });
  await wide.page.getByRole("heading", { name: "概览" }).waitFor();
  await wide.shot("platform-zh-overview");
  const phone = await Desk.open(ground, "platform", "system", { viewport: { width: 360, height: 740 }, phone: true });
  for (const desk of [wide, phone]) {
    for (const key of PAGES[desk.role]) {
      await desk.go(key);
      await desk.page.locator(".panel, .held-one").first().waitFor();
      await desk.page.waitForLoadState("networkidle").catch(() => undefined);
      await desk.accessible(`${key} as ${desk.role}`);
      await desk.fits(`${key} as ${desk.role}`);
      await desk.shot(`platform-${desk === phone ? "phone" : "zh"}-${key}`);
    }
  }
});

test("an administrator chooses another password, and the old one opens nothing", async () => {
  const { page } = desks.security;
  await page.locator(".me").click();
  await page.getByRole("menuitem", { name: "Change password" }).click();
  const another = "another sentence, long enough";
  await page.locator("dialog input").nth(0).fill("a long enough sentence");
  await page.locator("dialog input").nth(1).fill(another);
  await page.locator("dialog input").nth(2).fill(another);
  await page.locator("dialog .primary").click();
  await page.locator(".note", { hasText: "password is changed" }).waitFor();
  await page.locator(".me").click();
  await page.getByRole("menuitem", { name: "Set up second factor" }).click();
  await page.locator("dialog canvas.qr").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".me").click();
  await page.getByRole("menuitem", { name: "Log out" }).click();
  await page.locator("#login-name").waitFor();
  await desks.security.enter("a long enough sentence");
  await page.locator(".login .wrong", { hasText: "wrong" }).waitFor();
  await desks.security.enter(another);
  await page.locator(".console").waitFor();
});

test("where two have to approve, nobody lets a server in alone", async () => {
  const applicant = new Applicant(await ground.platform("careful", "reviewers = 2"), "west");
  const id = await applicant.register("West", 31_003);
  const open = async (role) => {
    const desk = await Desk.open(ground, "careful", role);
    await desk.go("applications");
    return [desk, desk.page.locator(`[data-application="${id}"]`)];
  };
  const [[first, ofSystem], [second, ofSecurity]] = [await open("system"), await open("security")];
  const approve = async (desk, card, why) => {
    await card.getByRole("button", { name: "Approve" }).click();
    await desk.page.locator("dialog input").fill(why);
    await desk.page.locator("dialog .primary").click();
  };
  await approve(first, ofSystem, "I know them");
  await ofSystem.locator(".hint", { hasText: "1 of 2 approvals" }).waitFor();
  await ofSystem.getByRole("button").first().waitFor({ state: "detached" });
  assert.equal((await applicant.outcome()).state, "pending");
  await ofSecurity.locator(".hint", { hasText: "I know them" }).waitFor();
  await second.shot("platform-two");
  await approve(second, ofSecurity, "the papers are in order");
  await ofSecurity.waitFor({ state: "detached" });
  assert.equal((await applicant.outcome()).state, "approved");
});
