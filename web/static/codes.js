// What scanners and people enter: a label's id or a volser, however it was typed, and the line that it means.
//
// The twin of labels/identity.py and labels/volser.py, which say why; tests/vectors/codes.json holds both.

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH = 16;
const LONGEST = 200;
const BETWEEN = /[\s\u001c-\u001f\u0085\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff-]/g;
const NAME = "[A-Z0-9](?:[A-Z0-9-]*[A-Z0-9])?";
const ADDRESS = new RegExp(`^HTTPS://${NAME}(?:\\.${NAME})*(?::[0-9]{1,5})?/[MCSL]/([0-9A-Z]{${LENGTH}})/?$`);
const MENDED = new RegExp(`^.+[^0-9A-Z][MCSL][^0-9A-Z]([0-9A-Z]{${LENGTH}})[^0-9A-Z]*$`, "s");
const VOLSER = /^[A-Z0-9](?:[A-Z0-9._-]{0,14}[A-Z0-9])?$/;
const WITH_MEDIA_ID = /^([A-Z0-9]{6})(?:L[1-9A-Z]|M8|J[A-Z]|T[12ST]|C[1-9U])$/;

const AZERTY = "AQWZ?,", QWERTY = "QAZWMM", DIGITS = "1234567890", SHIFTED = "!@#$%^&*()";
const LAYOUTS = [
  layout("", ""), // letters and digits where an American keyboard has them: British, Spanish, Nordic, ...
  layout("YZß", "ZY-"), // German, Austrian, Swiss
  layout("YZÖ", "ZY0"), // Hungarian
  layout(`YZ+ĚŠČŘŽÝÁÍÉĽŤ${DIGITS}`, `ZY123456789025${SHIFTED}`), // Czech, Slovak
  layout(AZERTY, QWERTY), // French and Belgian with the digits locked
  layout(`${AZERTY}&É"'(-È_ÇÀ)${DIGITS}`, `${QWERTY}${DIGITS}-${SHIFTED}`), // French
  layout(`${AZERTY}&É"'(§È!ÇÀ)${DIGITS}`, `${QWERTY}${DIGITS}-${SHIFTED}`), // Belgian
];

function layout(typed, meant) {
  const keys = new Map();
  [...typed].forEach((name, place) => [name, name.toLowerCase()].forEach((form) => keys.set(form, meant[place])));
  return (text) => [...text].map((character) => keys.get(character) ?? character).join("").toUpperCase();
}

/** The id in what was scanned or typed, or null where it is no label's, or could be more than one. */
export function label(text) {
  const plain = text.normalize("NFKC").trim();
  if (plain.length > LONGEST) return null;
  const address = ADDRESS.exec(plain.toUpperCase());
  if (address && checked(address[1])) return checked(address[1]);
  const alone = plain.replace(/^[*/]+|[*/]+$/g, "");
  if (/^[0-9A-Z]*$/.test(alone.toUpperCase().replace(BETWEEN, ""))) return checked(alone);
  const layouts = plain.includes("://") ? LAYOUTS.slice(0, 1) : LAYOUTS; // as on an American keyboard: a wrong id is wrong
  const meant = new Set(layouts.map((read) => checked(MENDED.exec(read(plain))?.[1])).filter(Boolean));
  return meant.size === 1 ? [...meant][0] : null;
}

/** The id in its one written form, or null. */
function checked(text) {
  if (text === undefined || text.length > 4 * LENGTH) return null;
  const lookalikes = { O: "0", I: "1", L: "1" };
  const found = text.toUpperCase().replace(/[OIL]/g, (letter) => lookalikes[letter]).replace(BETWEEN, "");
  const values = [...found].map((character) => ALPHABET.indexOf(character));
  if (values.length !== LENGTH || values.includes(-1)) return null;
  const check = values.pop();
  return values.reduce((rest, value) => (rest * 32 + value) % 37, 0) === check ? found : null;
}

/** The volser that was scanned or typed, in capitals, or null. */
export function volser(text) {
  const capitals = text.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replaceAll("\u3000", " ").replace(/[a-z]/g, (small) => small.toUpperCase()).trim();
  const found = capitals.replace(/^\*(.*)\*$/, "$1");
  return VOLSER.test(found) ? found : null;
}

/** Whether two volsers can name one cartridge: alike, or one of them without the media id. */
export function same(one, other) {
  if (one === other) return true;
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  return WITH_MEDIA_ID.exec(long)?.[1] === short;
}

/**
 * Which line was meant: {line, said}. `line` is its number in `lines`, from 0, or null; `said` tells the person.
 *
 * A line is {id, spine}: the label's id, and the volser as far as it is known, or "". A volser has no check
 * character: it counts if it can be one line alone, whatever keyboard layout typed it. What could not be read for
 * certain is never said to be missing from the list.
 */
export function find(text, lines) {
  const id = label(text);
  const labelled = lines.findIndex((line) => line.id === id);
  if (labelled >= 0) return { line: labelled, said: called(lines[labelled]) };
  const typed = volser(text);
  const meant = readings(text);
  const spines = numbers(lines, (line) => meant.some((name) => same(line.spine, name)));
  if (spines.length > 1)
    return { line: null, said: `${typed ?? text.trim()} could be any of ${spines.length} lines: read the label.` };
  const certain = typed === null ? meant.length === 1 : spines.every((number) => same(lines[number].spine, typed));
  if (spines.length === 1 && certain) return { line: spines[0], said: called(lines[spines[0]]) };
  if (id !== null) return { line: null, said: `${grouped(id)} is NOT on this list.` };
  const near = numbers(lines, (line) => line.spine !== "" && meant.some((name) => same(alike(line.spine), alike(name))));
  if (near.length)
    return { line: null, said: `${text.trim()} could not be read for certain. Is it ${lines[near[0]].spine}? Read its label.` };
  if (typed === null || /^[0-9A-Z]{13,16}$/.test(typed))
    return { line: null, said: "This could not be read. Scan it again, or type what stands beside the code." };
  return { line: null, said: `${typed} is NOT on this list.` };
}

function numbers(lines, fits) {
  return lines.flatMap((line, number) => (fits(line) ? [number] : []));
}

/** The volsers that the keys can have been, over all layouts; the same mark before and after is Code 39's own. */
function readings(text) {
  const names = LAYOUTS.map((read) => volser(read(text.trim()).replace(/^([^0-9A-Z])(.*)\1$/, "$2")));
  return [...new Set(names.filter((name) => name !== null))];
}

/** Alike for the eye: O and 0, I and 1. */
function alike(name) {
  return name.replaceAll("O", "0").replaceAll("I", "1");
}

function called(line) {
  return line.spine || grouped(line.id);
}

/** An id as it is printed: in fours. */
export function grouped(id) {
  return id.replace(/(.{4})(?=.)/g, "$1 ");
}
