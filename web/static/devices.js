// The page Devices: makes this browser's key, and signs its enrolment, after looking at what is signed.

import { fromBase64, sign, toBase64 } from "./dsse.js";
import { create, fingerprint, forgetOlder, older, own, pin } from "./keys.js";
import { fill, send, setTime } from "./server.js";
import { read, words } from "./statement.js";

const place = document.getElementById("this-browser");
const say = place.querySelector("[data-say]");
const button = place.querySelector("[data-create]");
const { person, origin, enrolled, lacking } = place.dataset;

/** The enrolment's bytes, once they say this person, this key and this log, and nothing else. */
async function enrolment(device) {
  const form = new URLSearchParams({ what: "enrolment", spki: device.spki });
  setTime(form, place);
  const prepared = await send("/sign/prepare", form);
  const payload = fromBase64(prepared.payload);
  const statement = read(payload);
  const { fact } = statement;
  if (statement.kind !== "enrolled" || fact.person !== person || fact.key !== device.spki || statement.origin !== origin)
    throw new Error("The server asks this browser to sign something else than its own enrolment. Do not go on.");
  const { title, rows } = await words(statement, { ...prepared, evidence: {} });
  const list = document.createElement("dl");
  list.className = "facts";
  fill(list, [["Signed", title], ...rows, ["Fingerprint", fingerprint(device.id)]]);
  place.querySelector("[data-statement]").replaceChildren(list);
  return payload;
}

async function put(device, payload) {
  const signature = await sign(device.key, payload);
  return send("/sign", { payload: toBase64(payload), key: device.id, signature: toBase64(signature) });
}

async function setUp() {
  const device = (await own(person)) ?? (await create(person, origin));
  await pin(device, origin);
  const payload = await enrolment(device);
  await put(device, payload);
  const before = await older(person);
  if (before) {
    await put(before, payload);
    await forgetOlder(person);
  }
  location.reload();
}

async function begin() {
  const device = await own(person);
  const before = await older(person);
  if (device && enrolled.split(" ").includes(device.id)) {
    say.textContent = `This browser is set up: what you sign here counts. Its fingerprint is ${fingerprint(device.id)}.`;
    document.querySelector(`[data-key="${device.id}"]`)?.classList.add("here");
    if (before) await forgetOlder(person);
    if (lacking.split(" ").includes(device.id)) {
      button.textContent = "Have it confirmed for the roles that it does not speak for";
      button.hidden = false;
    }
    return;
  }
  if (device && [...document.querySelectorAll(".device code")].some((code) => code.textContent === fingerprint(device.id))) {
    say.textContent = `This browser's key ${fingerprint(device.id)} waits to be confirmed, or was revoked. See below.`;
    if (!before) return;
  } else {
    say.textContent = "This browser has no key of yours that counts. It makes one that never leaves it, and signs with it that it is yours; then somebody confirms it."
      + (before ? " Your link has brought the key that confirms it along." : "");
  }
  button.hidden = false;
}

button.addEventListener("click", () => {
  button.disabled = true;
  setUp().catch((problem) => {
    say.textContent = problem.message;
    say.className = "refusal";
    button.disabled = false;
  });
});
await begin().catch((problem) => { say.textContent = `This browser cannot keep keys: ${problem.message}`; });
place.dataset.ready = "yes";
