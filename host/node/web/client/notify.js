// Tells of what comes while nobody looks, by the system's notifications: only if the user chose that in this browser.

import { plain } from "./view/message.js";

export const possible = () => "Notification" in globalThis && Notification.permission !== "denied";

/** Asks the browser for leave to tell. */
export async function permitted() {
  return possible() && (await Notification.requestPermission()) === "granted";
}

/** Tells of a message of somebody else's, unless the page is looked at. One for each chat: the newest takes the place of the one before. */
export function tell(app, { kind, message }) {
  const { model } = app;
  if (!app.choices.notify || kind !== "message" || message.sendID === model.me.userID) return;
  if (document.visibilityState === "visible" && document.hasFocus()) return;
  if (!possible() || Notification.permission !== "granted") return;
  const chat = model.chat(message.chatScene, message.chatScene === "group" ? message.recvID : message.sendID);
  if (!chat.last) return;
  let shown;
  try {
    shown = new Notification(model.title(chat), { body: plain(app, chat, chat.last), tag: chat.key, icon: "/web/shared/icon.svg" });
  } catch {
    // Browsers of phones tell only what a service worker says.
    return;
  }
  shown.onclick = () => {
    focus();
    app.chat.show(chat.key);
    shown.close();
  };
}
