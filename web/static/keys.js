// This browser's keys: ECDSA P-256, one a person, in IndexedDB, and never to be taken out of it.
//
// A key that was brought along in a link's fragment is imported once, as one that cannot be read any more. It is
// either this person's own ("own": a demo's) or an older device's that shall confirm the fresh one ("older").

import { hex, toBase64 } from "./dsse.js";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const STORE = "keys";

/** The person's own key in this browser: {person, id, spki, key, origin}, or undefined. */
export function own(person) {
  return act("readonly", (store) => store.get(`own ${person}`));
}

/** The key of an older device of this person that a link brought along, or undefined. */
export function older(person) {
  return act("readonly", (store) => store.get(`older ${person}`));
}

/** A fresh key for this person, kept before anybody hears of it. It replaces one that was there. */
export async function create(person, origin) {
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
  return keep("own", person, origin, pair.privateKey, await crypto.subtle.exportKey("spki", pair.publicKey));
}

/** Takes in a private key (PKCS#8): afterwards this browser can sign with it, and nobody can read it. */
export async function bring(role, person, pkcs8) {
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, true, ["sign"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", readable);
  const open = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, ALGORITHM, true, ["verify"]);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, false, ["sign"]);
  pkcs8.fill(0);
  return keep(role, person, null, key, await crypto.subtle.exportKey("spki", open));
}

/** Forgets the older device's key: it has done what it was brought for. */
export function forgetOlder(person) {
  return act("readwrite", (store) => store.delete(`older ${person}`));
}

/** Remembers for which log this key signs. The first one that it sees, and never another. */
export async function pin(record, origin) {
  if (record.origin === null) await act("readwrite", (store) => store.put({ ...record, origin }));
  else if (record.origin !== origin) throw new Error(`This key signs for the log ${record.origin}, not for ${origin}.`);
}

/** The beginning of a key id in groups, short enough to read out; web/words.py writes the same. */
export function fingerprint(id) {
  return [0, 4, 8, 12].map((start) => id.slice(start, start + 4).toUpperCase()).join(" ");
}

async function keep(role, person, origin, key, spki) {
  const id = hex(await crypto.subtle.digest("SHA-256", spki));
  const record = { name: `${role} ${person}`, person, id, spki: toBase64(spki), key, origin };
  await act("readwrite", (store) => store.put(record));
  navigator.storage?.persist?.();
  return record;
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("custody", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "name" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function act(mode, what) {
  const database = await open();
  try {
    const transaction = database.transaction(STORE, mode);
    const request = what(transaction.objectStore(STORE));
    return await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}
