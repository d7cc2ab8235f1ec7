// What the user has: people, groups, chats, folded from the inbox's events. Knows nothing of the page.
//
// The inbox is the truth: its newest events are read when the page opens, older ones when somebody looks back, new ones are pushed.
// Every event may come more than once and in any order of its cursors.

import { segment } from "../shared/call.js";

const NEWEST = Number.MAX_SAFE_INTEGER;
const FIRST_PAGE = 500;
const PAGE = 500;

/** A messageID is its sender's: two may use the same one in a conversation. */
const nameOf = (sender, messageID) => `${sender} ${messageID}`;

export const keyOf = (scene, id) => `${scene === "group" ? "g" : "u"}:${id}`;

/** One conversation. `items` are in the order of their cursors. */
class Chat {
  items = [];
  places = new Map();

  constructor(scene, id) {
    this.scene = scene;
    this.id = id;
    this.key = keyOf(scene, id);
  }

  /** Puts an item in its place; one that is there is brought up to date. */
  put(item) {
    const known = this.places.get(item.id);
    if (known) {
      const moved = item.cursor < known.cursor;
      Object.assign(known, item, { cursor: Math.min(known.cursor, item.cursor), at: moved ? item.at : known.at });
      if (moved) this.#sort();
      return known;
    }
    this.places.set(item.id, item);
    const last = this.items.at(-1);
    this.items.push(item);
    if (last && last.cursor > item.cursor) this.#sort();
    return item;
  }

  #sort() {
    this.items.sort((a, b) => a.cursor - b.cursor);
  }

  get last() {
    return this.items.at(-1);
  }
}

/** Emits `change`, at most once a turn; `event` for each new one (detail: the event, whether it was pushed). */
export class Model extends EventTarget {
  me;
  chats = new Map();
  people = new Map();
  contacts = new Map();
  requests = new Map();
  groups = new Map();
  members = new Map();
  pending = [];
  /** Messages on their way, by clientID. */
  unsent = new Map();
  states = new Map();
  marks = {};
  /** What administrators have done about this user's behaviour. */
  measures = [];
  cursor = 0;
  oldest = NEWEST;
  /** Everything there is has been read. */
  complete = false;
  #api;
  #vault;
  #due = false;
  #asked = new Map();
  #listing = new Map();

  constructor(api, vault) {
    super();
    this.#api = api;
    this.#vault = vault;
  }

  /** Reads what the page opens with. */
  async load() {
    this.me = await this.#api.get("/client/v1/me");
    this.measures = this.me.measures;
    this.#expire();
    for (const message of (await this.#kept("unsent")) ?? []) this.unsent.set(message.clientID, message);
    const [page] = await Promise.all([
      this.#api.get(`/client/v1/inbox?before=${NEWEST}&limit=${FIRST_PAGE}`),
      this.reloadMarks(),
      this.reloadPeople(),
      this.reloadGroups(),
    ]);
    this.cursor = page.events.at(-1)?.cursor ?? page.head;
    this.#older(page);
    this.changed();
  }

  /** Reads further back. False if there is nothing. */
  async loadOlder() {
    if (this.complete) return false;
    this.#loadingOlder ??= this.#api
      .get(`/client/v1/inbox?before=${this.oldest}&limit=${PAGE}`)
      .then((page) => this.#older(page))
      .finally(() => {
        this.#loadingOlder = undefined;
      });
    await this.#loadingOlder;
    this.changed();
    return true;
  }
  #loadingOlder;

  #older(page) {
    for (const { cursor, ...event } of page.events) this.#fold(cursor, event, false);
    this.oldest = page.events[0]?.cursor ?? this.oldest;
    this.complete = page.events.length < PAGE;
  }

  /** An event that was pushed. */
  push(cursor, event) {
    if (cursor <= this.cursor) return;
    this.cursor = cursor;
    this.#fold(cursor, event, true);
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
    this.changed();
  }

  changed() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  #fold(cursor, event, fresh) {
    const { kind, atMs: at } = event;
    if (kind === "message" || kind === "sent") this.#message(cursor, at, event);
    else if (kind === "receipt") this.#receipt(event);
    else if (kind === "recalled") this.#recalled(cursor, at, event);
    else if (kind === "file.failed") this.#failed(cursor, at, event);
    else if (kind.startsWith("friend.")) this.#friend(cursor, at, event, fresh);
    else if (kind.startsWith("group.")) this.#group(cursor, at, event, fresh);
    // What holds of the older ones was told when the page opened.
    else if (kind.startsWith("measure.") && fresh) this.#measure(event);
  }

  #message(cursor, at, { kind, message, clientID, state }) {
    const mine = kind === "sent";
    const chat = this.chat(message.chatScene, mine || message.chatScene === "group" ? message.recvID : message.sendID);
    const item = {
      id: nameOf(message.sendID, message.messageID), messageID: message.messageID, cursor, at, from: message.sendID, mine, type: "message",
      kind: message.messageType, content: message.content, clientID,
    };
    // A user of this very server has it as soon as it is kept: nobody will send a receipt.
    const here = message.chatScene === "user" && message.recvID.toLowerCase().endsWith(`@${this.me.server}`.toLowerCase());
    if (mine && !this.states.has(item.messageID)) this.states.set(item.messageID, { state: here && state === "kept" ? "delivered" : state });
    const waiting = mine && clientID ? this.unsent.get(clientID) : undefined;
    if (waiting) {
      item.changed = waiting.kind === "text" && waiting.text !== message.content.message;
      this.#settle(clientID);
    }
    chat.put(item);
  }

  #receipt({ messageID, state, code, msg }) {
    const before = this.states.get(messageID);
    // Read backwards, the last word comes first.
    const final = ["delivered", "refused", "dropped", "expired"];
    if (before && final.includes(before.state) && !final.includes(state)) return;
    this.states.set(messageID, { state, code, msg });
  }

  #recalled(cursor, at, { messageID, sendID, recvID, chatScene }) {
    const mine = sendID === this.me.userID;
    const chat = this.chat(chatScene, mine || chatScene === "group" ? recvID : sendID);
    const id = nameOf(sendID, messageID);
    const known = chat.places.get(id);
    chat.put({ id, messageID, cursor: known ? known.cursor : cursor, at, from: sendID, mine, type: "message", recalled: true, content: undefined });
  }

  #failed(cursor, at, { messageID, sendID, recvID, chatScene, userID, mediaID, name, code, msg, messageType }) {
    const mine = sendID === undefined || sendID === this.me.userID;
    const chat = this.chat(chatScene, mine || chatScene === "group" ? recvID : sendID);
    const failed = { code, msg, userID };
    if (mine) {
      this.states.set(`file:${messageID}`, failed);
      return;
    }
    const id = nameOf(sendID, messageID);
    if (chat.places.has(id)) {
      Object.assign(chat.places.get(id), { failed });
      return;
    }
    const content = { name, mediaID };
    chat.put({ id, messageID, cursor, at, from: sendID, mine, type: "message", kind: messageType ?? "file", content, failed });
  }

  #friend(cursor, at, event, fresh) {
    const { kind, userID, userInfo, direction } = event;
    if (userInfo) this.know(userInfo);
    const said = kind === "friend.request" ? "asked" : kind === "friend.deleted" ? "deleted" : event.isAgree === 1 ? "agreed" : "declined";
    // What only the people list needs is not told in the chat, unless there is one.
    const worth = said === "agreed" || (event.state && direction === "out") || this.chats.has(keyOf("user", userID));
    if (worth) {
      const { remark, state, code, msg } = event;
      this.chat("user", userID).put({ id: `n${cursor}`, cursor, at, type: "notice", about: "friend", said, direction, userID, remark, state, code, msg });
    }
    if (fresh) this.reloadPeople();
  }

  #group(cursor, at, event, fresh) {
    const { kind, groupID, groupInfo } = event;
    if (groupInfo && !this.groups.has(groupID)) this.groups.set(groupID, { groupInfo, gone: true });
    if (kind === "group.notice") {
      [event.operUser, ...event.users].forEach((user) => this.know(user));
      const { operType, operUser, users } = event;
      this.chat("group", groupID).put({
        id: `n${cursor}`, cursor, at, type: "notice", about: "group", operType, operUser, users, groupInfo,
      });
      if (fresh) {
        const group = this.groups.get(groupID);
        if (group) group.groupInfo = groupInfo;
        // Kept until the new list is there.
        if (this.members.has(groupID)) this.reloadMembers(groupID).catch(() => this.members.delete(groupID));
      }
    } else if (kind === "group.answer" && event.result !== "agreed") {
      this.know(event.user);
      const { user, result, code, msg } = event;
      this.chat("group", groupID).put({ id: `n${cursor}`, cursor, at, type: "notice", about: "answer", user, result, code, msg });
    }
    if (fresh) this.reloadGroups();
  }

  #measure({ kind, measure, words, sinceMs, untilMs, perMinute }) {
    if (measure !== "warn") this.measures = this.measures.filter((one) => one.measure !== measure);
    if (kind === "measure.taken") this.measures = [...this.measures, { measure, words, sinceMs, untilMs, perMinute }];
    this.#expire();
  }

  /** The newest of a kind that holds about this user: `warn`, `limit`, `mute`. */
  measure(kind) {
    return this.measures.findLast((one) => one.measure === kind && (one.untilMs ?? Infinity) > Date.now());
  }

  /** Looks again when the next measure ends; a timer counts to 24 days. */
  #expire() {
    clearTimeout(this.#expiring);
    const left = this.measures.map((one) => (one.untilMs ?? Infinity) - Date.now()).filter((ms) => ms > 0);
    const next = Math.min(...left, 86_400_000);
    this.#expiring = setTimeout(() => {
      this.changed();
      this.#expire();
    }, next + 1);
  }
  #expiring;

  chat(scene, id) {
    const key = keyOf(scene, id);
    if (!this.chats.has(key)) this.chats.set(key, new Chat(scene, id));
    return this.chats.get(key);
  }

  /** The newest that is shown in a chat. */
  lastOf(chat) {
    const waiting = this.waitingFor(chat.key).at(-1);
    return waiting && waiting.at > (chat.last?.at ?? 0) ? waiting : chat.last;
  }

  /** Chats with something in them, the newest first. */
  get recent() {
    const newest = (chat) => Math.max(this.lastOf(chat)?.at ?? 0, this.groups.get(chat.id)?.sinceMs ?? 0);
    for (const [id, group] of this.groups) if (!group.gone) this.chat("group", id);
    return [...this.chats.values()]
      .filter((chat) => newest(chat) > 0 || (chat.scene === "group" && !this.groups.get(chat.id)?.gone))
      .map((chat) => ({ chat, at: newest(chat) }))
      .sort((a, b) => b.at - a.at || a.chat.key.localeCompare(b.chat.key));
  }

  unread(chat) {
    const mark = this.marks[chat.key] ?? 0;
    let count = 0;
    for (let n = chat.items.length - 1; n >= 0 && chat.items[n].cursor > mark; n -= 1) {
      const item = chat.items[n];
      if (item.type === "message" && !item.mine && !item.recalled) count += 1;
    }
    return count;
  }

  get unreadTotal() {
    return [...this.chats.values()].reduce((sum, chat) => sum + this.unread(chat), 0);
  }

  /** Everything in the chat has been seen. */
  read(chat) {
    const last = chat.last?.cursor ?? 0;
    if (last <= (this.marks[chat.key] ?? 0)) return;
    this.marks[chat.key] = last;
    this.#unmarked.set(chat.key, { scene: chat.scene, id: chat.id, cursor: last });
    this.#marking ??= setTimeout(() => this.#mark(), 500);
    this.changed();
  }
  #unmarked = new Map();
  #marking;

  /** Tells the user's other devices. What cannot be told now is told with the next. */
  async #mark() {
    for (const [key, mark] of [...this.#unmarked]) {
      const told = await this.#api.put("/client/v1/marks", mark).then(() => true, (error) => !error.passing);
      if (told && this.#unmarked.get(key) === mark) this.#unmarked.delete(key);
    }
    this.#marking = undefined;
  }

  /** What was read on other devices. */
  async reloadMarks() {
    const { marks } = await this.#api.get("/client/v1/marks");
    for (const { scene, id, cursor } of marks) {
      const key = keyOf(scene, id);
      this.marks[key] = Math.max(cursor, this.marks[key] ?? 0);
    }
    this.changed();
  }

  // People

  /** Whoever has not introduced itself is called by its ID: no better name than one that is known. */
  know(info) {
    if (!info?.userID) return;
    const known = this.people.get(info.userID);
    const called = info.name === info.userID && known ? known.name : info.name;
    this.people.set(info.userID, { ...known, ...info, name: called });
  }

  /** What is known of somebody; what is not is asked for, once. */
  person(id) {
    const known = this.people.get(id);
    if ((!known || known.name === id) && this.me) this.ask(id);
    return known ?? { userID: id, name: id.split("@")[0] };
  }

  ask(id) {
    if (this.#asked.has(id)) return this.#asked.get(id);
    const asked = this.#api
      .get(`/client/v1/users/${segment(id)}`)
      .then(({ userInfo }) => {
        this.know(userInfo);
        this.changed();
      })
      .catch(() => undefined);
    this.#asked.set(id, asked);
    return asked;
  }

  nameOf(id) {
    return id === this.me?.userID ? this.me.name : this.person(id).name;
  }

  title(chat) {
    if (chat.scene === "user") return this.nameOf(chat.id);
    return this.groups.get(chat.id)?.groupInfo?.groupName ?? chat.id;
  }

  stand(id) {
    return this.contacts.has(id) ? "friends" : (this.requests.get(id)?.stand ?? "none");
  }

  async reloadPeople() {
    const [contacts, requests, profile] = await Promise.all([
      this.#all("/client/v1/contacts", "contacts"),
      this.#all("/client/v1/friends/requests", "requests"),
      this.#api.get("/client/v1/profile"),
    ]);
    this.profile = profile;
    this.know(profile.userInfo);
    this.me.name = profile.userInfo.name;
    const byId = (links) => new Map(links.map((link) => [link.userInfo.userID, link]));
    this.contacts = byId(contacts);
    this.requests = byId(requests);
    [...contacts, ...requests].forEach((link) => this.know(link.userInfo));
    this.changed();
  }

  async #all(path, field) {
    const found = [];
    let after = "";
    for (;;) {
      const page = await this.#api.get(`${path}?limit=500${after}`);
      found.push(...page[field]);
      if (!page.next) return found;
      after = `&after=${segment(page.next)}`;
    }
  }

  // Groups

  async reloadGroups() {
    const [{ groups }, { pending }] = await Promise.all([
      this.#api.get("/client/v1/groups"),
      this.#api.get("/client/v1/groups/pending"),
    ]);
    for (const [id, group] of this.groups) if (!groups.some((one) => one.groupInfo.groupID === id)) group.gone = true;
    for (const group of groups) {
      const created = Date.parse(group.groupInfo.createTime);
      this.groups.set(group.groupInfo.groupID, { ...group, sinceMs: Number.isNaN(created) ? 0 : created });
    }
    this.pending = pending;
    pending.forEach((one) => this.know(one.user));
    this.changed();
  }

  /** The members, as they are known here; asked for if they are not. */
  membersOf(groupID) {
    const known = this.members.get(groupID);
    const again = (this.#listing.get(groupID) ?? 0) < Date.now();
    if (!known && again && !this.groups.get(groupID)?.gone) this.reloadMembers(groupID).catch(() => undefined);
    return known ?? [];
  }

  async reloadMembers(groupID) {
    // Not asked for again by every look at what is on its way, or refused.
    this.#listing.set(groupID, Date.now() + 5000);
    this.#listed += 1;
    const turn = this.#listed;
    const { members } = await this.#api.get(`/client/v1/groups/${segment(groupID)}/members`);
    members.forEach((member) => this.know(member.userInfo));
    if (turn < (this.#latest.get(groupID) ?? 0)) return;
    this.#latest.set(groupID, turn);
    this.members.set(groupID, members);
    this.changed();
  }
  #listed = 0;
  #latest = new Map();

  // Messages on their way

  waitingFor(key) {
    return [...this.unsent.values()].filter((message) => keyOf(message.scene, message.to) === key);
  }

  /** A message that is to be sent: kept until the server has answered. */
  queue(message) {
    const queued = { clientID: crypto.randomUUID(), at: Date.now(), state: "sending", ...message };
    this.unsent.set(queued.clientID, queued);
    this.#keepUnsent();
    this.changed();
    return queued;
  }

  update(clientID, change) {
    const message = this.unsent.get(clientID);
    if (!message) return;
    Object.assign(message, change);
    this.#keepUnsent();
    this.changed();
  }

  #settle(clientID) {
    const message = this.unsent.get(clientID);
    if (message?.preview) URL.revokeObjectURL(message.preview);
    this.unsent.delete(clientID);
    this.#keepUnsent();
  }

  /** Gives a message up that was not sent. */
  discard(clientID) {
    this.#settle(clientID);
    this.changed();
  }

  #keepUnsent() {
    // A file that is still being uploaded cannot be taken up again by another page: only what can be sent is kept.
    const kept = [...this.unsent.values()].filter((message) => message.kind === "text" || message.mediaID);
    this.#keep("unsent", kept.map(({ preview, file, ...rest }) => rest));
  }

  // Kept in this browser, apart for each user.

  #kept(name) {
    return this.#vault.get(`${name}:${this.me.userID}`);
  }

  #keep(name, value) {
    this.#vault.put(`${name}:${this.me.userID}`, value).catch(() => undefined);
  }
}
