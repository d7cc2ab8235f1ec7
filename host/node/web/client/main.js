// The web client: opens what the browser keeps, logs in, and hands over to the views.

import { Api } from "./api.js";
import { fill, h, once } from "../shared/dom.js";
import { choose, openVault, restore } from "../shared/choices.js";
import { t } from "../shared/words.js";
import { note } from "../shared/dialog.js";
import { Files } from "./files.js";
import { Link } from "./link.js";
import { Model } from "./model.js";
import { tell } from "./notify.js";
import { Sender } from "./sender.js";
import { Chats } from "./view/chats.js";
import { Chat } from "./view/chat.js";
import { Details } from "./view/details.js";
import { logIn } from "./view/login.js";
import { shortcuts } from "./view/keys.js";
import { refusal } from "./view/say.js";
import { join } from "./view/groups.js";
import en from "./words/en.js";
import zh from "./words/zh.js";

const DICTIONARIES = { en, zh };

/** Pages of the inbox that are read without being asked for. */
const PAGES_BACK = 10;

/** What every view is given. */
class App {
  vault;
  api;
  choices = {};
  /** A file cannot be dropped here by mistake and take the page's place. */
  constructor(vault) {
    this.vault = vault;
    this.api = new Api(vault);
    for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
    addEventListener("beforeunload", (event) => this.sender?.uploading && event.preventDefault());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.model?.reloadMarks().catch(() => undefined);
    });
    addEventListener("popstate", () => this.chat?.show(history.state?.chat, { back: true }));
    this.api.addEventListener("ended", () => {
      note(t("login.ended"), "bad");
      this.leave();
    });
  }

  async start() {
    this.choices = await restore(this.vault, DICTIONARIES);
    const known = await this.api.restore();
    await (known ? this.enter() : this.leave());
  }

  /** A choice of the user's for this browser: language, theme, whether to be notified. */
  async choose(choice) {
    await choose(this.vault, DICTIONARIES, this.choices, choice);
    if (!("language" in choice || "theme" in choice)) return;
    if (this.model) this.show();
    else this.leave();
  }

  /** An administrator's words were read: they are not shown again in this browser. */
  async heed(warning) {
    await this.choose({ heeded: warning.sinceMs });
    this.render();
  }

  async leave() {
    this.link?.stop();
    this.link = this.model = this.sender = this.chat = undefined;
    document.title = "Isthmus";
    fill(document.body, logIn(this));
    document.querySelector("[autofocus]")?.focus();
  }

  /** A session is there: reads what it has and shows it. */
  async enter() {
    fill(document.body, h("main", { class: "opening", "aria-busy": "true" }, h("div", { class: "spinner" }), h("p", null, t("opening"))));
    const model = new Model(this.api, this.vault);
    for (let wait = 500; ; wait = Math.min(10_000, wait * 2)) {
      try {
        await model.load();
        break;
      } catch (error) {
        if (!this.api.userID) return;
        fill(document.querySelector(".opening p") ?? document.body, refusal(error));
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    this.drafts = (await this.vault.get(`drafts:${model.me.userID}`)) ?? {};
    this.model = model;
    this.files = new Files(this.api);
    this.link = new Link(this.api, () => model.cursor);
    this.sender = new Sender(model, this.link, this.files);
    model.addEventListener("change", () => this.render());
    this.link.addEventListener("state", () => this.render());
    // What is kept by the page is acknowledged, together.
    const acknowledge = once(() => this.link?.send({ type: "ack", cursor: model.cursor }));
    model.addEventListener("event", acknowledge);
    model.addEventListener("event", ({ detail }) => tell(this, detail));
    this.show();
    this.link.start();
    this.invited();
    this.readBack(model);
  }

  /** Looks further back beside everything else: for chats that were quiet lately, and what was not read in them. */
  async readBack(model) {
    for (let pages = 0; pages < PAGES_BACK && this.model === model; pages += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (!(await model.loadOlder().catch(() => false))) return;
    }
  }

  /** Builds the page; again after another language was chosen. */
  show() {
    const open = this.chat?.open?.key ?? history.state?.chat;
    this.chats = new Chats(this);
    this.chat = new Chat(this);
    this.details = new Details(this);
    this.frame = h("div", { class: "frame" }, this.chats.element, this.chat.element, this.details.element);
    fill(document.body, this.frame);
    shortcuts(this);
    if (open) this.chat.show(open, { back: true });
    this.render();
  }

  render() {
    if (!this.model) return;
    this.chats.render();
    this.chat.render();
    this.details.render();
    const unread = this.model.unreadTotal;
    document.title = unread > 0 ? `(${unread}) Isthmus` : "Isthmus";
  }

  draft(key, text) {
    if ((this.drafts[key] ?? "") === text) return;
    if (text) this.drafts[key] = text;
    else delete this.drafts[key];
    clearTimeout(this.drafting);
    this.drafting = setTimeout(() => this.vault.put(`drafts:${this.model?.me.userID}`, this.drafts), 300);
  }

  /** Nothing of this user stays in the browser. */
  async logOut(everywhere) {
    const user = this.model.me.userID;
    this.link.stop();
    await this.api.logOut(everywhere);
    clearTimeout(this.drafting);
    await this.vault.drop(...["drafts", "unsent"].map((name) => `${name}:${user}`));
    history.replaceState(null, "", "/");
    await this.leave();
  }

  /** A link with a join ticket: `/#join=…`. The ticket leaves the address at once. */
  invited() {
    const ticket = /^#join=(.+)$/.exec(location.hash)?.[1];
    if (!ticket) return;
    history.replaceState(history.state, "", "/");
    join(this, decodeURIComponent(ticket));
  }
}

const vault = await openVault();
await new App(vault).start();
