// The board keeps itself fresh, counts down by the server's clock, and says so when it cannot.

const EVERY = 10_000;
const board = document.getElementById("board");
const stale = document.getElementById("stale");
const policy = globalThis.trustedTypes?.createPolicy("board", { createHTML: (html) => html }) ?? { createHTML: (html) => html };
let fresh = performance.now();

/** `42 min left` or `7 min overdue`: the same words as web/words.py. */
export function left(seconds) {
  return seconds >= 0 ? `${span(seconds)} left` : `${span(-seconds)} overdue`;
}

function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${minutes} min`;
}

function count() {
  const { now, pace } = board.querySelector("[data-now]").dataset;
  const at = Date.parse(now) + (performance.now() - fresh) * Number(pace);
  for (const place of board.querySelectorAll("[data-due]"))
    place.textContent = left((Date.parse(place.dataset.due) - at) / 1000);
}

async function refresh() {
  try {
    const response = await fetch(board.dataset.from, { credentials: "same-origin", redirect: "error" });
    if (!response.ok) throw new Error(String(response.status));
    const html = await response.text();
    fresh = performance.now();
    board.innerHTML = policy.createHTML(html);
    stale.hidden = true;
  } catch {
    const seconds = Math.round((performance.now() - fresh) / 1000);
    stale.textContent = `This board is ${seconds} s old: the server does not answer, or you are signed out. Do not rely on it; load the page again.`;
    stale.hidden = false;
  }
}

setInterval(count, 1000);
setInterval(refresh, EVERY);
