// A one-time link may carry a private key behind its #, which no browser sends to a server. It is taken in here,
// as a key that cannot be read any more, and the address forgets it before anything else happens.

import { fromBase64 } from "./dsse.js";
import { bring } from "./keys.js";
import "./stays.js";

const place = document.getElementById("begin");
const { person, purpose } = place.dataset;
const brought = new URLSearchParams(location.hash.slice(1)).get("k");
history.replaceState(null, "", location.pathname);

if (brought !== null) {
  const said = document.getElementById("brought");
  try {
    await bring(purpose === "demo" ? "own" : "older", person, fromBase64(brought));
    said.textContent = purpose === "demo"
      ? "This link has brought the demo person's key along: this browser can sign for them."
      : "This link has brought the key along that will confirm this browser.";
  } catch {
    said.textContent = "The key in this link could not be read. Copy the whole link once more.";
    said.className = "refusal";
  }
  said.hidden = false;
}
place.dataset.ready = "yes";
