// Logging in.

import { h } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { spoken, t } from "../../shared/words.js";
import { refusal } from "./say.js";

export function logIn(app) {
  const user = h("input", {
    id: "login-user", name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, autofocus: true,
    maxlength: "256",
  });
  const password = h("input", { id: "login-password", name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: "1024" });
  const remember = h("input", { type: "checkbox", id: "login-remember", checked: true });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { class: "primary wide", type: "submit" }, t("login.go"));
  const form = h("form", { class: "card login", onsubmit: (event) => submit(event) },
    h("div", { class: "brand" }, h("img", { src: "/web/shared/icon.svg", alt: "", width: "48", height: "48" }), h("h1", null, "Isthmus")),
    h("label", { for: "login-user" }, t("login.user")), user,
    h("label", { for: "login-password" }, t("login.password")), password,
    h("label", { class: "check" }, remember, h("span", null, t("login.remember"), h("small", null, t("login.remember.hint")))),
    wrong, button);

  async function submit(event) {
    event.preventDefault();
    wrong.textContent = "";
    button.setAttribute("aria-busy", "true");
    try {
      await app.api.logIn(user.value.trim(), password.value, remember.checked);
    } catch (error) {
      wrong.textContent = error.status === 401 ? t("login.wrong") : error.status === 429 ? t("login.later") : refusal(error);
      button.removeAttribute("aria-busy");
      password.select();
      return;
    }
    await app.enter();
  }

  const other = spoken() === "zh" ? "en" : "zh";
  return h("main", { class: "login-page" }, form,
    h("p", { class: "login-foot" },
      h("button", { type: "button", class: "link", lang: other === "zh" ? "zh-CN" : "en", onclick: () => app.choose({ language: other }) }, other === "zh" ? "中文" : "English"),
      h("span", null, icon("lock"), t("login.safe"))));
}
