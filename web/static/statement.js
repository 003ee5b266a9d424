// What the bytes say that a person is about to sign: read here, in the browser, and put in words here.
//
// The server sends bytes and names. What is shown comes from the bytes; names only stand beside the numbers and
// fingerprints that the bytes have. A kind or a member that is not known here is refused: nobody can say what
// signing it would mean.

import { grouped } from "./codes.js";
import { eventId } from "./dsse.js";
import { fingerprint } from "./keys.js";

const TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE = "https://media-custody.invalid/";

/** {kind, fact, origin, made, seen, about} of a payload, or an Error in words. */
export function read(payload) {
  const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  only(value, ["_type", "subject", "predicateType", "predicate"]);
  const [kind, version] = String(value.predicateType).replace(PREDICATE, "").split("/");
  const telling = KINDS[kind];
  if (value._type !== TYPE || value.predicateType !== `${PREDICATE}${kind}/v1` || version !== "v1" || !telling)
    throw new Error("This is a kind of statement that this page does not know. Do not sign it.");
  if (value.subject.length !== 1 || value.subject[0].name !== "event")
    throw new Error("This statement is about something that this page does not know. Do not sign it.");
  const { origin, made, seen = null, ...fact } = value.predicate;
  only(fact, telling.members);
  return { kind, fact, origin, made, seen, about: value.subject[0].digest.sha256 };
}

/**
 * The statement in words: {title, rows: [[label, text, odd]]}; `odd` marks what is not as it should be.
 *
 * `known` helps to show it: {people, devices, things, evidence}, as the server sent them. Evidence counts only if
 * its hash is the one that the statement names.
 */
export async function words(statement, known) {
  const shown = { ...known, manifest: await named(statement.about, known), received: null };
  if (statement.kind === "seconded") shown.received = await named(statement.fact.hand_off, known);
  const { title, rows } = KINDS[statement.kind].tell(statement.fact, lookUp(shown), shown);
  return { title, rows: [...rows, ["Log", statement.origin], ["Device's clock", moment(statement.made)]] };
}

async function named(event, known) {
  const payload = known.evidence?.[event];
  if (!payload) return null;
  if ((await eventId(payload)) !== event)
    throw new Error("The evidence that came with this is not what the statement names. Do not sign it.");
  return JSON.parse(new TextDecoder().decode(payload)).predicate;
}

function only(value, members) {
  const strange = Object.keys(value).find((name) => !members.includes(name));
  if (strange !== undefined)
    throw new Error(`This statement says something that this page does not know (${strange}). Do not sign it.`);
}

function lookUp({ people = {}, devices = {}, things = {} }) {
  return {
    person: (number) => (people[number] && people[number] !== number ? `${people[number]} (${number})` : number),
    device: (key) => {
      const number = devices[key];
      const who = number === undefined ? "somebody unknown" : `${people[number] ?? number} (${number})`;
      return `${who}, device ${fingerprint(key)}`;
    },
    thing: (id) => (things[id] ? `${things[id]}, label ${grouped(id)}` : `label ${grouped(id)}`),
  };
}

// ------------------------------------------------------------------------------------------------ the kinds

const KINDS = {
  enrolled: {
    members: ["person", "key"],
    tell: (fact, by) => ({
      title: "A device becomes a person's own: what it signs counts as signed by them",
      rows: [["Person", by.person(fact.person)], ["Public key", fact.key]],
    }),
  },
  "set-up-closed": {
    members: [],
    tell: () => ({ title: "The set-up is closed", rows: [["From now on", "the founder confirms no device alone"]] }),
  },
  invited: {
    members: ["person", "organisation", "grants", "contact"],
    tell: (fact, by) => ({
      title: "A person takes part from now on",
      rows: [
        ["Person", by.person(fact.person)],
        ["Organisation", fact.organisation],
        ["Roles", grants(fact.grants)],
        ["Address, sealed as", fact.contact.slice(0, 16)],
      ],
    }),
  },
  granted: {
    members: ["person", "grants"],
    tell: (fact, by) => ({
      title: "These are all the roles of a person from now on",
      rows: [["Person", by.person(fact.person)], ["Roles", grants(fact.grants), fact.grants.length === 0]],
    }),
  },
  routed: {
    members: ["route", "origin_site", "destination", "transit", "ladder"],
    tell: (fact) => ({
      title: `The route ${fact.route} is so from now on`,
      rows: [
        ["From, to", `${fact.origin_site} to ${fact.destination}`],
        ["Longest transit", `${fact.transit} minutes from pick-up to receipt`],
        ...ladder(fact.ladder),
      ],
    }),
  },
  packed: {
    members: ["site", "case", "seal", "media"],
    tell: (fact, by) => ({
      title: `I packed ${fact.media.length} media and closed the seal`,
      rows: [
        ["At", fact.site],
        ["Case", by.thing(fact.case)],
        ["Seal", by.thing(fact.seal)],
        ["I read each of these", fact.media.map(by.thing).join("\n")],
      ],
    }),
  },
  approved: {
    members: ["consignment", "pick_up_by", "transit", "ladder"],
    tell: (fact, by, { manifest }) => ({
      title: `${fact.consignment} may leave, and its alarm is armed`,
      rows: [
        ["Manifest", listed(manifest, fact.consignment)],
        ["Picked up by", moment(fact.pick_up_by)],
        ["Longest transit", `${fact.transit} minutes`],
        ...ladder(fact.ladder),
      ],
    }),
  },
  handed: {
    members: ["consignment", "giver", "taker", "previous", "site", "read", "seal", "seal_read", "missing", "refused", "damaged", "extra"],
    tell: (fact, by, { manifest }) => {
      only(fact.giver, ["key", "seen"]);
      only(fact.taker, ["key", "seen"]);
      return { title: `Custody of ${fact.consignment} passes`, rows: handed(fact, by, manifest) };
    },
  },
  seconded: {
    members: ["consignment", "hand_off"],
    tell: (fact, by, { received }) => ({
      title: `I stand by the receipt of ${fact.consignment}`,
      rows: [
        ["Hand-off", fact.hand_off.slice(0, 16)],
        ...(received && received.consignment === fact.consignment ? handed(received, by, null) : []),
      ],
    }),
  },
  decided: {
    members: ["incident", "owner", "decision", "reason"],
    tell: (fact, by) => ({
      title: `A decision on ${fact.incident}`,
      rows: [
        ["Decision", DECISIONS[fact.decision] ?? unknown(fact.decision), fact.decision === "do-not-notify"],
        ["Owner", by.person(fact.owner)],
        ["Reason, sealed as", fact.reason.slice(0, 16)],
      ],
    }),
  },
};

const DECISIONS = {
  search: "search on",
  "report-to-police": "report to the police",
  notify: "notify the people concerned",
  "do-not-notify": "do NOT notify the people concerned",
};

const SEALS = { none: "no seal", intact: "intact", broken: "BROKEN", different: "ANOTHER ONE" };

function handed(fact, by, manifest) {
  const line = (number) => (manifest ? `line ${number}: ${by.thing(manifest.media[number - 1] ?? "")}` : `line ${number}`);
  const odd = ["missing", "refused", "damaged"]
    .filter((word) => fact[word]?.length)
    .map((word) => [capital(word), fact[word].map(line).join("\n"), true]);
  const extra = fact.extra?.length ? [["Not on the manifest", fact.extra.map(grouped).join("\n"), true]] : [];
  const seal = fact.seal ?? "none";
  return [
    ["From (giver)", by.device(fact.giver.key)],
    ["To (taker)", by.device(fact.taker.key)],
    ["At", fact.site],
    ["What was read", READ[fact.read] ?? unknown(fact.read)],
    ["Seal", (SEALS[seal] ?? unknown(seal)) + (fact.seal_read ? `, read as ${by.thing(fact.seal_read)}` : ""), !["none", "intact"].includes(seal)],
    ...(manifest ? [["Manifest", listed(manifest, fact.consignment)]] : []),
    ...odd,
    ...extra,
    ...(odd.length + extra.length === 0 && fact.read === "media" ? [["Differences", "none: every line was read"]] : []),
  ];
}

const READ = { media: "each medium's own code", case: "the case and its seal, not the media in it" };

function listed(manifest, consignment) {
  if (!manifest) return "not sent along";
  if (manifest.consignment !== consignment)
    throw new Error("The manifest that this names is another consignment's. Do not sign it.");
  return `${manifest.media.length} media, route ${manifest.route}, carried by ${manifest.carrier}`;
}

function grants(list) {
  if (!list.length) return "none: the person has gone";
  return list.map((grant) => {
    only(grant, ["role", "site"]);
    return grant.role.replaceAll("-", " ") + (grant.site ? ` at ${grant.site}` : " everywhere");
  }).join("\n");
}

function ladder(rungs) {
  return rungs.map((rung) => {
    only(rung, ["after", "who", "repeat", "presume"]);
    const when = rung.after < 0 ? `${-rung.after} min before due` : rung.after === 0 ? "When due" : `${rung.after} min late`;
    const more = (rung.presume ? "; presumed missing, an incident opens" : "") + (rung.repeat ? `; again every ${rung.repeat} min` : "");
    return [when, `told: ${rung.who.map((who) => who.replaceAll("-", " ")).join(", ")}${more}`];
  });
}

function unknown(word) {
  throw new Error(`This statement says something that this page does not know (${word}). Do not sign it.`);
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

function moment(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return unknown(text);
  return `${at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })} here (${text.slice(0, 16).replace("T", " ")} UTC)`;
}
