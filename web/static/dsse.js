// What is signed, byte for byte: DSSE 1.0.2. The twin of custody/ledger/envelope.py; tests/vectors has both.

const TYPE = "application/vnd.in-toto+json";

/** The pre-authentication encoding of a payload: the bytes that a signature is over. */
export function pae(payload) {
  const head = new TextEncoder().encode(`DSSEv1 ${TYPE.length} ${TYPE} ${payload.length} `);
  const whole = new Uint8Array(head.length + payload.length);
  whole.set(head);
  whole.set(payload, head.length);
  return whole;
}

/** The identity of an event: hexadecimal SHA-256 of the encoding. */
export async function eventId(payload) {
  return hex(await crypto.subtle.digest("SHA-256", pae(payload)));
}

/** The signature of this key over the payload: r and s, 64 bytes. The server makes DER of it. */
export async function sign(key, payload) {
  return new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, pae(payload)));
}

/** Lower-case hexadecimal. */
export function hex(buffer) {
  return [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Standard base64, padded. */
export function toBase64(bytes) {
  let text = "";
  for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
  return btoa(text);
}

/** The bytes of a standard or URL-safe base64 text. */
export function fromBase64(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}
