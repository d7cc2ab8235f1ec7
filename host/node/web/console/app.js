// A console, of a server or of the platform: who may log in sees the pages of its role (design §6), and nothing else.

import { Api } from "./api.js";
import { fill, h, name } from "../shared/dom.js";
import { icon } from "./icons.js";
import { choose, openVault, restore } from "../shared/choices.js";
import { spoken, t } from "../shared/words.js";
import { menu, note } from "../shared/dialog.js";
import { factor, password } from "./view/account.js";
import { choosePassword, logIn } from "./view/login.js";
import { refusal } from "./say.js";
import en from "./words/en.js";
import zh from "./words/zh.js";

const DICTIONARIES = { en, zh };

/** How often the numbers at the pages' entries are asked for. */
const COUNT_MS = 15_000;

/**
 * `title`: what is administered here, a key of the dictionary. `pages`: in their order, each with whose it is; `count`, of the
 * interface, answers the number of what waits there.
 */
export async function start({ title, pages }) {
  const vault = await openVault();
  await new App(title, pages, vault).start();
}

class App {
  api = new Api();
  choices = {};
  page;

  constructor(title, all, vault) {
    Object.assign(this, { title, all, vault });
    addEventListener("hashchange", () => this.frame && this.open());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.page?.tick?.());
    this.api.addEventListener("ended", () => {
      if (!this.me) return;
      note(t("login.ended"), "bad");
      this.leave();
    });
  }

  async start() {
    this.choices = await restore(this.vault, DICTIONARIES);
    try {
      await this.enter();
    } catch (error) {
      if (error.status !== 401) note(refusal(error), "bad");
      this.leave();
    }
  }

  /** A choice for this browser: language or theme. */
  async choose(choice) {
    await choose(this.vault, DICTIONARIES, this.choices, choice);
    if (!this.me) this.leave();
    else if (this.me.administrator.isNew) this.first();
    else this.show();
  }

  leave() {
    this.close();
    this.me = this.frame = undefined;
    document.title = "Isthmus";
    fill(document.body, logIn(this));
    document.querySelector("[autofocus]")?.focus();
  }

  first() {
    this.close();
    fill(document.body, choosePassword(this));
    document.querySelector("[autofocus]")?.focus();
  }

  async enter() {
    this.me = await this.api.get("session");
    if (this.me.administrator.isNew) this.first();
    else this.show();
  }

  get role() {
    return this.me.role;
  }

  /** Which server's, or whose platform's, console this is. */
  get what() {
    return this.me.serverId ?? this.me.domain;
  }

  get pages() {
    return this.all.filter((page) => page.roles.includes(this.role));
  }

  /** Builds the frame; again after another language was chosen. */
  show() {
    const link = ({ key, icon: drawn }) => h("a", { href: `#/${key}`, dataset: { page: key } }, icon(drawn), h("span", null, t(`page.${key}`)), h("b", { class: "badge", hidden: true }));
    const me = h("button", { type: "button", class: "me", "aria-haspopup": "menu", onclick: () => this.mine(me) },
      h("span", { class: ["avatar", "small", `tint-${["system", "security", "audit"].indexOf(this.role) + 2}`], "aria-hidden": "true" }, this.me.administrator.name.slice(0, 1).toUpperCase()),
      h("span", { class: "who" }, name(this.me.administrator.name), h("small", null, t(`role.${this.role}`))), icon("more"));
    this.nav = h("nav", { "aria-label": t("nav") }, this.pages.map(link));
    this.content = h("main", { id: "content", tabindex: "0" });
    this.frame = h("div", { class: "console" },
      h("a", { class: "skip", href: "#content", onclick: (event) => { event.preventDefault(); this.content.focus(); } }, t("skip")),
      h("header", { class: "side" },
        h("div", { class: "brand" }, h("img", { src: "/web/shared/icon.svg", alt: "", width: "32", height: "32" }), h("div", null, h("strong", null, t(this.title)), h("small", null, this.what))),
        this.nav, me),
      this.content);
    fill(document.body, this.frame);
    this.open();
    this.count();
  }

  /** What waits on pages that somebody does not look at. */
  async count() {
    clearTimeout(this.counting);
    const { frame } = this;
    for (const { key, count } of this.pages) {
      const waiting = document.visibilityState === "visible" && key !== this.shown && count && (await count(this.api).catch(() => undefined));
      if (this.frame !== frame) return;
      if (typeof waiting === "number") this.badge(key, waiting);
    }
    this.counting = setTimeout(() => this.frame === frame && this.count(), COUNT_MS);
  }

  /** Shows the page that the address names. */
  open() {
    const wanted = /^#\/(\w+)/.exec(location.hash)?.[1];
    const page = this.pages.find(({ key }) => key === wanted) ?? this.pages[0];
    for (const link of this.nav.children) {
      if (link.dataset.page === page.key) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.nav.querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${t(`page.${page.key}`)} · ${this.what} · Isthmus`;
    this.close();
    this.page = new page.view(this);
    this.shown = page.key;
    fill(this.content, h("div", { class: ["page", page.key] }, this.page.element));
    this.content.scrollTop = 0;
    this.keep();
  }

  /** Brings the page up to date again and again, while somebody can see it. */
  keep() {
    const page = this.page;
    const turn = async () => {
      if (this.page !== page) return;
      if (document.visibilityState === "visible") await page.tick?.();
      if (this.page === page && page.every) this.timer = setTimeout(turn, page.every);
    };
    turn();
  }

  close() {
    clearTimeout(this.timer);
    this.page = undefined;
  }

  /** A number at a page's entry. */
  badge(key, count) {
    const badge = this.nav?.querySelector(`[data-page="${key}"] .badge`);
    if (!badge) return;
    badge.hidden = count === 0;
    badge.textContent = count > 99 ? "99+" : String(count);
  }

  mine(anchor) {
    const theme = this.choices.theme ?? "auto";
    const next = { auto: "dark", dark: "light", light: "auto" }[theme];
    const other = spoken() === "zh" ? "en" : "zh";
    menu(anchor, [
      { label: t("account.password"), icon: "lock", act: () => password(this) },
      { label: this.me.administrator.totp ? t("account.totp.remove") : t("account.totp.add"), icon: "device", act: () => factor(this) },
      { label: t(`theme.${next}`), icon: "moon", act: () => this.choose({ theme: next }) },
      { label: other === "zh" ? "中文" : "English", icon: "chat", act: () => this.choose({ language: other }) },
      { label: t("logout"), icon: "leave", danger: true, act: () => this.logOut() },
    ]);
  }

  async logOut() {
    await this.api.post("session/end").catch(() => undefined);
    this.leave();
  }
}
