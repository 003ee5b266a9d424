// Reading codes off: a wedge scanner or a keyboard types a label or a volser, and its line is ticked.

const scan = document.querySelector("[data-scan]");
const told = document.querySelector("[data-scanned]");

/** The id in a label's address, or what was typed, without blanks, in capitals. */
function code(text) {
  const plain = text.trim().toUpperCase().replace(/^HTTPS:\/\/[^/]+\/[MCSL]\//, "");
  return plain.replace(/[\s-]/g, "");
}

function tick(text) {
  const wanted = code(text);
  const lines = [...document.querySelectorAll("[data-codes]")].filter((line) => line.dataset.codes.split(" ").includes(wanted));
  if (lines.length !== 1)
    return lines.length ? `${wanted} stands on ${lines.length} lines: read the label.` : `${wanted} is NOT on this list.`;
  const box = lines[0].querySelector("input[value=read], input[type=checkbox]");
  const before = box.checked;
  box.checked = true;
  return before ? `${wanted} was read before.` : `${wanted} is read.`;
}

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
