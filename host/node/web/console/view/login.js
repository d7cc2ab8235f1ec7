// Logging in: a name, a password, a code where a second factor is set up; and the first password of one's own.

import { fill, h } from "../../shared/dom.js";
import { icon } from "../icons.js";
import { spoken, t } from "../../shared/words.js";
import { refusal } from "../say.js";

function page(app, form) {
  const other = spoken() === "zh" ? "en" : "zh";
  return h("main", { class: "login-page" }, form,
    h("p", { class: "login-foot" },
      h("button", { type: "button", class: "link", lang: other === "zh" ? "zh-CN" : "en", onclick: () => app.choose({ language: other }) }, other === "zh" ? "中文" : "English"),
      h("span", null, icon("lock"), t("login.safe"))));
}

function brand(app, text) {
  return h("div", { class: "brand" }, h("img", { src: "/web/shared/icon.svg", alt: "", width: "48", height: "48" }), h("h1", null, t(app.title)), h("p", null, text));
}

export function logIn(app) {
  const user = h("input", { id: "login-name", name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, autofocus: true, maxlength: "64" });
  const secret = h("input", { id: "login-password", type: "password", autocomplete: "current-password", required: true, maxlength: "1024" });
  const code = h("input", { id: "login-code", inputmode: "numeric", autocomplete: "one-time-code", maxlength: "8", class: "code" });
  const second = h("div", { class: "stack", hidden: true }, h("label", { for: "login-code" }, t("login.code")), code);
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { class: "primary wide", type: "submit" }, t("login.go"));
  const form = h("form", { class: "card login", onsubmit: (event) => submit(event) },
    brand(app, t("login.hint")),
    h("label", { for: "login-name" }, t("login.name")), user,
    h("label", { for: "login-password" }, t("login.password")), secret, second, wrong, button);

  async function submit(event) {
    event.preventDefault();
    wrong.textContent = "";
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await app.api.post("session", { name: user.value.trim(), password: secret.value, code: code.value });
      if (answer.codeNeeded) {
        second.hidden = false;
        code.required = true;
        code.focus();
        return;
      }
      await app.enter();
    } catch (error) {
      wrong.textContent = error.status === 401 ? t("login.wrong") : refusal(error);
      (second.hidden ? secret : code).select();
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
  return page(app, form);
}

/** Two fields for a new password, and what is wrong with them. */
export function newPassword() {
  const fields = ["new", "again"].map((key) => h("input", { id: `password-${key}`, type: "password", autocomplete: "new-password", required: true, maxlength: "1024" }));
  const labels = [h("label", { for: "password-new" }, t("password.new"), h("small", null, ` ${t("password.rule")}`)), h("label", { for: "password-again" }, t("password.again"))];
  const problem = () => {
    if ([...fields[0].value].length < 12) return t("password.short");
    return fields[0].value === fields[1].value ? undefined : t("password.differ");
  };
  return { elements: [labels[0], fields[0], labels[1], fields[1]], problem, value: () => fields[0].value, first: fields[0] };
}

export function choosePassword(app) {
  const old = h("input", { id: "password-old", type: "password", autocomplete: "current-password", required: true, autofocus: true });
  const fresh = newPassword();
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { class: "primary wide", type: "submit" }, t("password.set"));
  const form = h("form", { class: "card login", onsubmit: (event) => submit(event) }, brand(app, t("password.first", { name: app.me.administrator.name })),
    h("label", { for: "password-old" }, t("password.onetime")), old, fresh.elements, wrong, button,
    h("button", { type: "button", class: "quiet wide", onclick: () => app.logOut() }, t("logout")));

  async function submit(event) {
    event.preventDefault();
    fill(wrong, fresh.problem() ?? "");
    if (wrong.textContent) return;
    button.setAttribute("aria-busy", "true");
    try {
      await app.api.post("session/password", { old: old.value, new: fresh.value() });
      await app.enter();
    } catch (error) {
      wrong.textContent = refusal(error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
  return page(app, form);
}
