// The page on which something is signed: form, then the bytes in words, then the signature.

import { eventId, fromBase64, sign, toBase64 } from "./dsse.js";
import { fingerprint, own, pin } from "./keys.js";
import { fill, send, setTime } from "./server.js";
import { read, words } from "./statement.js";

const place = document.getElementById("signing");
const ask = document.getElementById("ask");
const refusal = document.getElementById("refusal");
const box = document.getElementById("statement");
const done = document.getElementById("done");
const { person, origin, enrolled, devices } = place.dataset;
let device = null;
let payload = null;

function refuse(problem) {
  refusal.textContent = problem.message;
  refusal.hidden = false;
  refusal.scrollIntoView({ block: "center" });
}

async function prepare() {
  refusal.hidden = true;
  box.hidden = true;
  const form = new URLSearchParams(new FormData(ask));
  form.set("key", device.id);
  setTime(form, place);
  const prepared = await send("/sign/prepare", form);
  payload = fromBase64(prepared.payload);
  const statement = read(payload);
  if (statement.origin !== origin) throw new Error("This statement is for another log. Do not sign it.");
  const evidence = Object.fromEntries(Object.entries(prepared.evidence).map(([id, text]) => [id, fromBase64(text)]));
  const { title, rows } = await words(statement, { ...prepared, evidence });
  fill(box.querySelector("[data-words]"), [["Statement", title], ...rows]);
  box.querySelector("[data-raw]").textContent = new TextDecoder().decode(payload);
  box.querySelector("[data-fingerprint]").textContent = fingerprint(device.id);
  ask.hidden = "auto" in ask.dataset;
  box.hidden = false;
  box.scrollIntoView();
}

async function signIt() {
  refusal.hidden = true;
  await pin(device, read(payload).origin);
  const signature = await sign(device.key, payload);
  const order = { payload: toBase64(payload), key: device.id, signature: toBase64(signature) };
  const outcome = await send("/sign", order);
  if (outcome.event !== (await eventId(payload))) throw new Error("The server answers about another event than the one that you signed.");
  show(outcome);
}

function show(outcome) {
  ask.hidden = box.hidden = true;
  const lines = outcome.seq === null
    ? ["Signed.", `It waits for the signature of ${outcome.waits_for}. Custody has not passed yet, and nothing counts until then.`]
    : ["Signed and recorded.", `Entry ${outcome.seq} of the ledger.`];
  const parts = [...lines, `Event ${outcome.event}`].map((text, index) => {
    const p = document.createElement(index ? "p" : "h2");
    p.textContent = text;
    return p;
  });
  const onward = document.createElement("a");
  onward.className = "btn btn-primary big";
  onward.href = outcome.then;
  onward.textContent = "Go on";
  done.replaceChildren(...parts, onward);
  done.dataset.event = outcome.event;
  done.hidden = false;
  done.scrollIntoView({ block: "center" });
}

/** One step at a time: a button that is pressed twice does its work once. */
function once(button, step) {
  button.disabled = true;
  return step().catch(refuse).finally(() => { button.disabled = false; });
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  once(ask.querySelector("[data-prepare]"), prepare);
});
box.querySelector("[data-sign]").addEventListener("click", (event) => once(event.target, signIt));

device = await own(person).catch(() => undefined);
if (device === undefined || !enrolled.split(" ").includes(device.id)) {
  ask.hidden = true;
  refuse(new Error(device === undefined
    ? "This browser has no key of yours, so you cannot sign here."
    : `This browser's key ${fingerprint(device.id)} is not enrolled (yet), so what it signs would not count.`));
  const link = document.createElement("a");
  link.href = devices;
  link.textContent = " See Devices.";
  refusal.append(link);
} else if ("auto" in ask.dataset) {
  await prepare().catch(refuse);
}
place.dataset.ready = "yes";
