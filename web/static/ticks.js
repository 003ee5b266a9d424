// Reading codes off: a wedge scanner or a keyboard types a label or a volser, and its line is ticked.

import { find, grouped } from "./codes.js";
import { send } from "./server.js";

const scan = document.querySelector("[data-scan]");
const told = document.querySelector("[data-scanned]");

function tick(text) {
  const rows = [...document.querySelectorAll("[data-label]")];
  const { line, said } = find(text, rows.map((row) => ({ id: row.dataset.label, spine: row.dataset.spine })));
  if (line === null) return said;
  const box = rows[line].querySelector("input[value=read], input[type=checkbox]");
  const before = box.checked;
  box.checked = true;
  return before ? `${said} was read before.` : `${said} is read.`;
}

const photograph = document.querySelector("[data-photograph]");

/** Ticks the lines that a photograph shows, and says what it shows besides. */
function tickShown(shown) {
  const rows = [...document.querySelectorAll("[data-label]")];
  // what a person has said of a line stands: a photograph cannot see that a case is cracked
  const kept = shown.lines.filter((line) => {
    const said = rows[line - 1].querySelector("input:checked");
    if (!said) rows[line - 1].querySelector("input[value=read]").checked = true;
    return said && said.value !== "read";
  });
  const open = rows.filter((row) => !row.querySelector("input:checked")).length;
  const strange = shown.strange.map((name) => `${name.length === 16 ? grouped(name) : name} is NOT on this list`);
  const said = [`${shown.lines.length} of ${rows.length} lines read in the photograph, ${open} still open`, ...kept.map((line) => `line ${line} stays as you ticked it`), ...shown.unsure, ...strange];
  told.textContent = `${said.join(". ")}.`;
}

photograph?.addEventListener("change", async () => {
  if (!photograph.files.length) return;
  const form = new FormData();
  form.set("photograph", photograph.files[0]);
  told.textContent = "Reading the photograph ...";
  try {
    tickShown(await send(photograph.dataset.photograph, form));
  } catch (problem) {
    told.textContent = problem.message;
  }
  photograph.value = "";
});

scan?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  if (scan.value.trim()) told.textContent = tick(scan.value);
  scan.value = "";
});

for (const choice of document.querySelectorAll("[data-shows]")) {
  choice.addEventListener("change", () => {
    for (const part of document.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== choice.dataset.shows;
  });
}

for (const all of document.querySelectorAll("[data-tick-all]")) {
  all.addEventListener("click", () => {
    for (const box of document.querySelectorAll(`input[name="${all.dataset.tickAll}"]`))
      if (!box.closest("label").classList.contains(all.dataset.unless)) box.checked = true;
  });
}
