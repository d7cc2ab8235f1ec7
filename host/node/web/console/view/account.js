// One's own account: password and second factor.

import { fill, h } from "../../shared/dom.js";
import { dialog } from "../../shared/dialog.js";
import { draw } from "../../shared/qr.js";
import { t } from "../../shared/words.js";
import { carry, field } from "../say.js";
import { newPassword } from "./login.js";

/** A dialog with a form and one act. */
function form(title, elements, yes, act) {
  const button = h("button", { type: "submit", class: "primary", form: "own-form" }, yes);
  const wrong = h("p", { class: "wrong", role: "alert" });
  const body = h("form", { id: "own-form", class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    if (await act(button, wrong)) opened.close();
  } }, elements, wrong);
  const opened = dialog({ title, body, actions: [button], kind: "small" });
  return opened;
}

export function password(app) {
  const old = h("input", { type: "password", autocomplete: "current-password", required: true });
  const fresh = newPassword();
  form(t("account.password"), [field(t("password.old"), old), fresh.elements], t("password.set"), async (button, wrong) => {
    fill(wrong, fresh.problem() ?? "");
    if (wrong.textContent) return false;
    return carry(button, () => app.api.post("session/password", { old: old.value, new: fresh.value() }), t("password.done"));
  });
}

export async function factor(app) {
  if (app.me.administrator.totp) return remove(app);
  const offered = await carry(undefined, () => app.api.post("session/totp"));
  if (!offered) return undefined;
  const canvas = h("canvas", { class: "qr", role: "img", "aria-label": t("totp.qr") });
  draw(canvas, offered.uri, 4);
  const code = h("input", { class: "code", inputmode: "numeric", autocomplete: "one-time-code", required: true, maxlength: "8" });
  const letters = offered.secret.match(/.{1,4}/g).join(" ");
  return form(t("account.totp.add"), [h("p", null, t("totp.scan")), canvas, h("p", { class: "hint" }, t("totp.letters")), h("code", { class: "letters" }, letters), field(t("login.code"), code)], t("totp.confirm"), async (button) => {
    const done = await carry(button, () => app.api.post("session/totp/confirm", { code: code.value }), t("totp.done"));
    if (done) app.me.administrator.totp = true;
    return done;
  });
}

function remove(app) {
  const secret = h("input", { type: "password", autocomplete: "current-password", required: true });
  return form(t("account.totp.remove"), [h("p", null, t("totp.remove")), field(t("password.old"), secret)], t("account.totp.remove"), async (button) => {
    const done = await carry(button, () => app.api.post("session/totp/remove", { password: secret.value }), t("totp.removed"));
    if (done) app.me.administrator.totp = false;
    return done;
  });
}
