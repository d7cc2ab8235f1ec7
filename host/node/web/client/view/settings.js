// One's own: profile, how it looks, devices, password.

import { fill, h, name } from "../../shared/dom.js";
import { icon } from "../../shared/icons.js";
import { moment, spoken, t } from "../../shared/words.js";
import { act, dialog, note, sure } from "../../shared/dialog.js";
import { segment } from "../../shared/call.js";
import { permitted, possible } from "../notify.js";
import { faceOf } from "./avatar.js";
import { portrait } from "./details.js";
import { refusal } from "./say.js";

export function settings(app) {
  const asked = dialog({ title: t("settings"), wide: true, body: [profile(app), looks(app, () => asked.close()), devices(app), password(app)] });
}

function profile(app) {
  const { userInfo, hidden } = app.model.profile;
  const title = h("input", { type: "text", value: userInfo.name, maxlength: "128", required: true });
  const phone = h("input", { type: "tel", value: userInfo.phoneNumber ?? "", maxlength: "32" });
  const about = h("textarea", { rows: "2", maxlength: "500", value: userInfo.remark ?? "" });
  const shy = h("input", { type: "checkbox", checked: hidden });
  const face = h("div", { class: "face-edit" }, faceOf(app, userInfo.userID, "huge"));
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/gif", hidden: true });
  const pick = h("button", { type: "button", class: "quiet short", onclick: () => file.click() }, t("profile.picture"));
  const clear = h("button", { type: "button", class: "quiet short", hidden: !userInfo.portrait }, t("profile.picture.none"));
  const put = async (change) => {
    await app.api.put("/client/v1/profile", change);
    await app.model.reloadPeople();
  };
  const picture = async (value) => {
    await put({ portrait: value });
    fill(face, faceOf(app, userInfo.userID, "huge"));
    clear.hidden = !value;
  };
  const change = act(pick, async () => picture(await portrait(app, file.files[0], "portrait")), refusal);
  file.addEventListener("change", () => file.files[0] && change());
  clear.addEventListener("click", act(clear, () => picture(""), refusal));
  const save = h("button", { type: "submit", class: "primary" }, t("save"));
  const submit = act(save, async () => {
    await put({ name: title.value.trim(), phoneNumber: phone.value.trim(), remark: about.value.trim(), hidden: shy.checked });
    note(t("saved"));
  }, refusal);
  return h("section", { class: "part" }, h("h3", null, t("profile")),
    h("form", { class: "stack", onsubmit: submit },
      h("div", { class: "face-line" }, face, h("div", null, h("p", null, name(userInfo.userID)), h("div", { class: "buttons" }, pick, clear, file))),
      h("label", null, t("profile.name"), title), h("label", null, t("profile.phone"), phone, h("small", null, t("profile.phone.hint"))),
      h("label", null, t("profile.about"), about),
      h("label", { class: "check" }, shy, h("span", null, t("profile.hidden"), h("small", null, t("profile.hidden.hint")))),
      h("div", { class: "buttons" }, save)));
}

function looks(app, close) {
  const select = (label, value, options, choose) => {
    const element = h("select", { onchange: () => choose(element.value) }, options.map(([key, words]) => h("option", { value: key, selected: key === value }, words)));
    return h("label", null, label, element);
  };
  const notified = h("input", { type: "checkbox", checked: Boolean(app.choices.notify) && possible(), disabled: !possible(), onchange: async () => {
    notified.checked = notified.checked && (await permitted());
    await app.choose({ notify: notified.checked });
  } });
  return h("section", { class: "part" }, h("h3", null, t("looks")), h("div", { class: "stack" },
    h("label", { class: "check" }, notified, h("span", null, t("notify"), h("small", null, t(possible() ? "notify.hint" : "notify.denied")))),
    select(t("language"), spoken(), [["zh", "中文"], ["en", "English"]], async (language) => {
      close();
      await app.choose({ language });
    }),
    select(t("theme"), app.choices.theme ?? "auto", [["auto", t("theme.auto")], ["light", t("theme.light")], ["dark", t("theme.dark")]], (theme) => app.choose({ theme }))));
}

function devices(app) {
  const list = h("ul", { class: "list devices" });
  const show = async () => {
    const { devices: all } = await app.api.get("/client/v1/devices");
    fill(list, all.sort((a, b) => b.lastSeenMs - a.lastSeenMs).map((device) => {
      const end = h("button", { type: "button", class: "quiet short" }, t("device.end"));
      end.addEventListener("click", act(end, async () => {
        await app.api.delete(`/client/v1/devices/${segment(device.deviceID)}`);
        await show();
      }, refusal));
      return h("li", { class: "device" }, icon("device"), h("span", { class: "row-main" }, name(device.name || t("device.unnamed"), { class: "row-title" }),
        h("span", { class: "row-text" }, device.current ? t("device.this") : t("device.seen", { time: moment(device.lastSeenMs) }))), !device.current && end);
    }));
  };
  show().catch((error) => fill(list, h("li", null, refusal(error))));
  const all = h("button", { type: "button", class: "quiet danger-text" }, t("logout.everywhere"));
  all.addEventListener("click", act(all, async () => {
    if (await sure({ title: t("logout.everywhere"), text: t("logout.everywhere.text"), yes: t("logout") })) await app.logOut(true);
  }, refusal));
  return h("section", { class: "part" }, h("h3", null, t("devices")), list, h("div", { class: "buttons" }, all));
}

function password(app) {
  const old = h("input", { type: "password", autocomplete: "current-password", required: true, maxlength: "1024" });
  const next = h("input", { type: "password", autocomplete: "new-password", required: true, minlength: "8", maxlength: "1024" });
  const save = h("button", { type: "submit", class: "primary" }, t("password.change"));
  const submit = act(save, async () => {
    await app.api.post("/client/v1/password", { old: old.value, new: next.value });
    await app.api.forget();
    await app.leave();
    note(t("password.changed"));
  }, refusal);
  return h("section", { class: "part" }, h("h3", null, t("password")),
    h("form", { class: "stack", onsubmit: submit },
      h("input", { type: "text", autocomplete: "username", value: app.model.me.userID, hidden: true, readonly: true, "aria-hidden": "true", tabindex: "-1" }),
      h("label", null, t("password.old"), old), h("label", null, t("password.new"), next, h("small", null, t("password.hint"))), h("div", { class: "buttons" }, save)));
}
