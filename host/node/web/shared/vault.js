// What this browser keeps of us, and only encrypted: under an AES-256-GCM key that the browser made and gives out to no script,
// bound to the name under which a thing is kept. Session, drafts, unsent messages and choices lie here; nothing lies elsewhere.
//
// Not a cookie, because cookies do not tell ports apart (two servers on one host would share them) and go with every request.

const DATABASE = "isthmus";

export class Vault {
  #database;
  #key;
  #last = Promise.resolve();

  static async open() {
    const vault = new Vault();
    vault.#database = await request(openDatabase());
    vault.#key = await vault.#makeKey();
    return vault;
  }

  async #makeKey() {
    const known = await this.#read("keys", "vault");
    if (known) return known;
    const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    // Another tab may have been first: `add` does not overwrite, and whatever lies there then is the key.
    await this.#write("keys", (store) => store.add(made, "vault")).catch(() => undefined);
    return this.#read("keys", "vault");
  }

  /** The value kept under a name; undefined if there is none, or if it cannot be opened any more. */
  async get(name) {
    const kept = await this.#read("kept", name);
    if (!kept) return undefined;
    try {
      const plain = await crypto.subtle.decrypt(this.#suite(kept.iv, name), this.#key, kept.data);
      return JSON.parse(new TextDecoder().decode(plain));
    } catch {
      return undefined;
    }
  }

  /** Keeps a value. Of two that are kept at once the later stays. */
  put(name, value) {
    const put = this.#last.then(() => this.#put(name, value));
    this.#last = put.catch(() => undefined);
    return put;
  }

  async #put(name, value) {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const plain = new TextEncoder().encode(JSON.stringify(value));
    const data = await crypto.subtle.encrypt(this.#suite(iv, name), this.#key, plain);
    await this.#write("kept", (store) => store.put({ iv, data }, name));
  }

  async drop(...names) {
    for (const name of names) await this.#write("kept", (store) => store.delete(name));
  }

  #suite(iv, name) {
    return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(name) };
  }

  #read(store, name) {
    return request(this.#database.transaction(store).objectStore(store).get(name));
  }

  #write(store, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(store, "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
      work(transaction.objectStore(store));
    });
  }
}

/** A vault for browsers without storage (private windows of some): it forgets with the page. */
export class NoVault {
  #kept = new Map();
  get(name) {
    return Promise.resolve(this.#kept.get(name));
  }
  put(name, value) {
    this.#kept.set(name, value);
    return Promise.resolve();
  }
  drop(...names) {
    names.forEach((name) => this.#kept.delete(name));
    return Promise.resolve();
  }
}

function openDatabase() {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("keys");
    opening.result.createObjectStore("kept");
  };
  return opening;
}

function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
