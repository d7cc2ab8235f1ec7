// Pictures, voice and files: by choice, paste and drop; over breaks; given up.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { Ground } from "./ground.mjs";

const LARGE = 50 * 1024 * 1024;

let ground;
let alice;
let carol;

before(async () => {
  ground = await Ground.start();
  alice = await ground.person("alice@north");
  carol = await ground.person("carol@south");
  await alice.open("carol@south");
  await alice.write("Files are coming");
  await carol.row("Alice").click();
});
after(() => ground.stop());

/** A picture as a PNG file's bytes, drawn by the browser. */
function drawn(page, width, height) {
  return page.evaluate(async ([w, h]) => {
    const canvas = new OffscreenCanvas(w, h);
    const context = canvas.getContext("2d");
    const gradient = context.createLinearGradient(0, 0, w, h);
    gradient.addColorStop(0, "#0b6f65");
    gradient.addColorStop(1, "#f0c36d");
    context.fillStyle = gradient;
    context.fillRect(0, 0, w, h);
    context.fillStyle = "#fff";
    context.font = `${h / 4}px sans-serif`;
    context.fillText("桥", w / 2.5, h / 1.8);
    const blob = await canvas.convertToBlob();
    return [...new Uint8Array(await blob.arrayBuffer())];
  }, [width, height]).then((bytes) => Buffer.from(bytes));
}

const send = (person) => person.page.locator("dialog").getByRole("button", { name: "Send" }).click();

test("a picture is shown before it is sent, as a thumbnail in the chat, and large when it is opened", async () => {
  const buffer = await drawn(alice.page, 1600, 900);
  await alice.page.locator(".composer input[type=file]").setInputFiles({ name: "bridge.png", mimeType: "image/png", buffer });
  await alice.page.locator("dialog .preview").waitFor();
  await alice.shot("offer");
  await send(alice);
  await carol.page.locator(".picture img").first().waitFor();
  await alice.page.locator(".picture img").first().waitFor();
  const box = await carol.page.locator(".picture").first().boundingBox();
  assert.ok(box.width <= 320 && box.height <= 320 && box.width > 100, JSON.stringify(box));
  await carol.shot("picture");
  await carol.page.locator(".picture").first().click();
  const image = carol.page.locator(".lightbox img");
  await image.waitFor();
  assert.equal(await image.evaluate((element) => element.naturalWidth), 1600);
  await carol.shot("lightbox");
  await carol.page.keyboard.press("Escape");
  await carol.page.locator(".lightbox").waitFor({ state: "detached" });
});

test("a file is pasted, another dropped", async () => {
  for (const [kind, name] of [["paste", "pasted.txt"], ["drop", "dropped.txt"]]) {
    await alice.page.evaluate(([kind, name]) => {
      const data = new DataTransfer();
      data.items.add(new File([`this is ${name}`], name, { type: "text/plain" }));
      const options = { bubbles: true, cancelable: true };
      const event = kind === "paste" ? new ClipboardEvent("paste", { ...options, clipboardData: data }) : new DragEvent("drop", { ...options, dataTransfer: data });
      document.querySelector(kind === "paste" ? ".composer textarea" : "#chat").dispatchEvent(event);
    }, [kind, name]);
    await send(alice);
    const file = carol.message(name);
    await file.waitFor();
    const [download] = await Promise.all([carol.page.waitForEvent("download"), file.getByRole("button", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), name);
    assert.equal(fs.readFileSync(await download.path(), "utf8"), `this is ${name}`);
  }
});

test("a voice message is recorded as the standard wants it, and played", async () => {
  await alice.page.getByRole("button", { name: "Record a voice message" }).click();
  await alice.page.locator(".recording .time", { hasText: "0:02" }).waitFor();
  await alice.shot("recording");
  await alice.page.locator(".recording .send").click();
  const voice = carol.page.locator(".voice").last();
  await voice.waitFor();
  await voice.getByRole("button", { name: "Play" }).click();
  await voice.getByRole("button", { name: "Pause" }).waitFor();
  await ground.until(async () => Number(await voice.locator("input").inputValue()) > 0.1);
});

test("a file of 50 MB is sent and fetched over a server that is killed in the middle", async () => {
  const bytes = randomBytes(LARGE);
  const wanted = createHash("sha256").update(bytes).digest("hex");
  const file = path.join(ground.folder, "large.bin");
  fs.writeFileSync(file, bytes);
  await alice.page.locator(".composer input[type=file]").setInputFiles(file);
  await send(alice);
  const sending = alice.message("large.bin");
  await ground.until(async () => (await sending.locator("progress").evaluate((bar) => bar.value)) > 0.2);
  await alice.shot("upload");
  await ground.kill("north");
  await sending.locator(".file-size", { hasText: "waits for the connection" }).waitFor();
  await alice.shot("upload-broken");
  ground.startAgain("north");
  const [download] = await Promise.all([
    carol.page.waitForEvent("download", { timeout: 240_000 }),
    (async () => {
      const got = carol.message("large.bin");
      await got.waitFor({ timeout: 240_000 });
      // Cut on its way to carol as well: the first answer ends in the middle.
      let cut = false;
      await carol.page.route(/\/client\/v1\/media\//, async (route) => {
        if (cut || route.request().headers().range) return route.continue();
        cut = true;
        const part = await route.fetch({ headers: { ...route.request().headers(), range: "bytes=0-9999999" } });
        assert.equal(part.status(), 206);
        const { "content-range": _, ...headers } = part.headers();
        return route.fulfill({ status: 200, headers: { ...headers, "content-length": "10000000" }, body: await part.body() });
      });
      await got.getByRole("button", { name: "Download" }).click();
    })(),
  ]);
  const hash = createHash("sha256");
  for await (const part of fs.createReadStream(await download.path())) hash.update(part);
  assert.equal(hash.digest("hex"), wanted);
  await carol.page.unroute(/\/client\/v1\/media\//);
});

test("an upload is given up", async () => {
  await alice.connected();
  // Slow enough to be stopped.
  await alice.page.route(/\/client\/v1\/media\/.+offset=/, async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await route.continue().catch(() => undefined);
  });
  const buffer = randomBytes(20 * 1024 * 1024);
  await alice.page.locator(".composer input[type=file]").setInputFiles({ name: "given-up.bin", mimeType: "application/octet-stream", buffer });
  await send(alice);
  await alice.message("given-up.bin").getByRole("button", { name: "Cancel" }).click();
  await alice.page.locator(".message", { hasText: "given-up.bin" }).waitFor({ state: "detached" });
  await alice.page.unroute(/\/client\/v1\/media\/.+offset=/);
  await alice.write("never mind the file");
  await carol.reads("never mind the file");
  assert.equal(await carol.page.locator(".message", { hasText: "given-up.bin" }).count(), 0);
});
