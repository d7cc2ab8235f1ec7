// The demo's story, told by clicks: people of two servers find each other, talk, meet in a group, and are told kindly what the rules
// did.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import jsQR from "jsqr";
import { Ground } from "./ground.mjs";

let ground;
let alice;
let carol;

before(async () => {
  ground = await Ground.start();
});
after(() => ground.stop());

test("a wrong password is told, and the right one lets in", async () => {
  alice = await ground.window("alice@north", { viewport: { width: 1440, height: 860 } });
  await alice.page.locator("#login-user").fill("alice");
  await alice.page.locator("#login-password").fill("not the password");
  await alice.page.locator(".login button[type=submit]").click();
  await alice.page.locator(".login .wrong", { hasText: "wrong" }).waitFor();
  await alice.shot("login");
  await alice.logIn();
  await alice.page.locator(".empty", { hasText: "No chats yet" }).waitFor();
  await alice.shot("empty");
});

test("people of two servers find each other, and what one writes the other reads", async () => {
  carol = await ground.person("carol@south");
  await alice.open("carol@south");
  await alice.write("Good morning, Carol! 早上好 👋");
  await carol.page.locator("#tab-chats .badge", { hasText: "1" }).waitFor();
  await carol.row("Alice").click();
  await carol.reads("Good morning, Carol! 早上好");
  await carol.page.locator(".new-line").waitFor();
  await carol.page.locator("#tab-chats .badge").waitFor({ state: "hidden" });
  await alice.state("Good morning, Carol!", "delivered");
  await carol.write("Good morning, Alice!");
  await alice.reads("Good morning, Alice!");
});

test("what policy does is told at the message itself", async () => {
  await alice.write("the plan is secret, 机密");
  await alice.page.locator(".message", { hasText: "the plan is ******" }).locator(".outcome", { hasText: "replaced some words" }).waitFor();
  await carol.reads("the plan is ******");
  await alice.write("this is forbidden");
  const here = alice.message("this is forbidden");
  await here.locator(".outcome", { hasText: "the rules of your server do not allow this" }).waitFor();
  await alice.write("I have smuggled goods");
  await alice.message("I have smuggled goods").locator(".outcome", { hasText: "the rules on the way to" }).waitFor();
  await alice.shot("policy");
  await here.getByText("Edit and send again").click();
  await alice.write("this is allowed");
  await carol.reads("this is allowed");
  assert.equal(await alice.page.locator(".message", { hasText: "this is forbidden" }).count(), 0);
});

test("a message that south holds is read once its administrator has released it", async () => {
  await alice.write("a suspicious parcel");
  const admin = await ground.admin("south", "security");
  const held = await ground.until(async () => (await (await admin.get("/admin/v1/held")).json()).held[0]);
  assert.equal(await carol.page.locator(".message", { hasText: "suspicious" }).count(), 0);
  await admin.post(`/admin/v1/held/${encodeURIComponent(held.id)}/release`, { data: {} });
  await carol.reads("a suspicious parcel");
});

test("a request for friendship goes there, and its answer comes back", async () => {
  await alice.details();
  await alice.page.locator(".details .ask textarea").fill("你好 👋");
  await alice.page.getByRole("button", { name: "Add to contacts" }).click();
  await carol.page.locator("#tab-people").click();
  const request = carol.page.locator(".request", { hasText: "Alice" });
  await request.locator("blockquote", { hasText: "你好 👋" }).waitFor();
  await carol.shot("request");
  await request.getByRole("button", { name: "Accept" }).click();
  await alice.page.locator(".notice", { hasText: "accepted your request" }).waitFor();
  await alice.page.getByRole("button", { name: "Remove from contacts" }).waitFor();
  await carol.page.locator(".people .row", { hasText: "Alice" }).waitFor();
});

test("a message is taken back, everywhere", async () => {
  await alice.write("this was a mistake");
  await carol.reads("this was a mistake");
  await alice.message("this was a mistake").hover();
  await alice.message("this was a mistake").locator(".more").click();
  await alice.page.getByRole("menuitem", { name: "Take back" }).click();
  await alice.page.locator("dialog .danger").click();
  await carol.page.locator(".message", { hasText: "took back a message" }).waitFor();
  await alice.page.locator(".message", { hasText: "You took back a message" }).waitFor();
  assert.equal(await carol.page.locator(".message", { hasText: "this was a mistake" }).count(), 0);
});

test("a group of both servers is made, joined, and talked in", async () => {
  await alice.page.locator(".side-head").getByRole("button", { name: "New" }).click();
  await alice.page.getByRole("menuitem", { name: "New group" }).click();
  await alice.page.getByLabel("Name of the group").fill("Bridges 桥");
  await alice.page.locator("dialog .ticks label", { hasText: "Carol" }).click();
  await alice.page.locator("dialog .primary").click();
  await alice.page.locator(".chat-head", { hasText: "Bridges 桥" }).waitFor();
  await carol.page.locator("#tab-people .badge").waitFor();
  await carol.page.locator(".request", { hasText: "Bridges 桥" }).getByRole("button", { name: "Join" }).click();
  await alice.page.locator(".notice", { hasText: "added" }).waitFor();
  await carol.page.locator(".chat-head", { hasText: "Bridges 桥" }).waitFor();
  await alice.write("Welcome to the group");
  await carol.reads("Welcome to the group");
  await carol.write("Glad to be here");
  await alice.reads("Glad to be here");
  await alice.page.locator(".message-from", { hasText: "Carol" }).first().waitFor();
});

test("a QR code that holds a link lets somebody join", async () => {
  await alice.page.getByRole("button", { name: "QR code to join" }).click();
  const canvas = alice.page.locator("canvas.qr");
  const link = alice.page.getByLabel("Link to join");
  await ground.until(async () => (await link.inputValue()) !== "");
  await alice.shot("qr");
  const { data, width, height } = await canvas.evaluate((element) => {
    const { width, height } = element;
    return { width, height, data: [...element.getContext("2d").getImageData(0, 0, width, height).data] };
  });
  assert.equal(jsQR(Uint8ClampedArray.from(data), width, height)?.data, await link.inputValue());
  const bob = await ground.person("bob@north");
  await bob.page.goto(await link.inputValue());
  // Only the part behind # differs: the page is the same, until it is loaded again.
  await bob.page.reload();
  await bob.page.locator("dialog").getByRole("button", { name: "Join", exact: true }).click();
  await bob.page.locator(".chat-head", { hasText: "Bridges 桥" }).waitFor();
  assert.equal(new URL(bob.page.url()).hash, "", "the ticket does not stay in the address");
  await bob.write("Here I am, by the code");
  await carol.reads("Here I am, by the code");
  await alice.page.keyboard.press("Escape");
});

test("who leads a group makes admins, removes members, and gives it another name", async () => {
  const { page } = alice;
  await page.locator(".details .member", { hasText: "bob@north" }).getByRole("button", { name: /Actions/ }).click();
  await page.getByRole("menuitem", { name: "Make admin" }).click();
  await page.locator(".details .member", { hasText: "bob@north" }).locator(".role", { hasText: "Admin" }).waitFor();
  await alice.shot("group");
  await page.locator(".details .member", { hasText: "bob@north" }).getByRole("button", { name: /Actions/ }).click();
  await page.getByRole("menuitem", { name: "Remove from group" }).click();
  await page.locator("dialog .danger").click();
  await page.locator(".details .member", { hasText: "bob@north" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Group settings" }).click();
  await page.getByLabel("Name of the group").fill("Bridges and tunnels");
  await page.locator("dialog .primary").click();
  await carol.page.locator(".chat-head", { hasText: "Bridges and tunnels" }).waitFor();
  await page.locator(".notice", { hasText: "removed" }).waitFor();
});

test("a page that is loaded again is still logged in and has everything, and a draft is kept", async () => {
  await alice.page.locator(".composer textarea").fill("half a thou");
  await carol.write("Are you still there?");
  await alice.reads("Are you still there?");
  await ground.until(() => alice.page.evaluate(async () => (await indexedDB.databases()).length > 0));
  await alice.page.waitForTimeout(600);
  await alice.page.reload();
  await alice.row("Bridges and tunnels").waitFor();
  await alice.reads("Are you still there?");
  assert.equal(await alice.page.locator(".composer textarea").inputValue(), "half a thou");
  await alice.page.locator(".composer textarea").fill("");
});

test("logging out everywhere ends every window of the user and leaves nothing in the browser", async () => {
  const other = await ground.person("alice@north");
  await other.page.locator(".me").click();
  await other.page.getByRole("menuitem", { name: "Settings" }).click();
  await other.page.locator(".device", { hasText: "This device" }).waitFor();
  await other.shot("settings");
  await other.page.getByRole("button", { name: "Log out everywhere" }).click();
  await other.page.locator("dialog .danger").click();
  await other.page.locator("#login-user").waitFor();
  await alice.page.locator("#login-user").waitFor();
  const kept = await other.page.evaluate(() => new Promise((resolve) => {
    const opening = indexedDB.open("isthmus");
    opening.onsuccess = () => {
      const asked = opening.result.transaction("kept").objectStore("kept").getAllKeys();
      asked.onsuccess = () => resolve(asked.result);
    };
  }));
  assert.deepEqual(kept, []);
});
