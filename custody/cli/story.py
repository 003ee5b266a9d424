"""The story of the demo: a real loss, with real parts and a clock that skips the quiet hours.

Everything here goes through the same acts, the same monitor and the same mail channel as in production. Only
three things are the demo's own: the clock, people whose keys lie in this process in place of their phones,
and a mail server that keeps what it is sent. A book made as a demo says so for ever in its origin.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pypdfium2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody import orders
from custody.acts import alarms, consignments, documents, media, people, signing
from custody.channels.email import Email, Relay
from custody.cli import parts
from custody.facts import Enrolled, Fact, Party, SetUpClosed
from custody.ledger.envelope import pae
from custody.ledger.keys import SigningKey
from custody.ledger.note import Checkpoint, LogKey, Note
from custody.monitor import Monitor
from custody.readers import inventory, mtx
from custody.rules.alarms import Alarm, Notice
from custody.rules.consignments import Consignment
from custody.rules.incidents import incident_of
from custody.rules.media import Medium
from custody.rules.notices import digest_of
from custody.rules.world import DEMO_ORIGIN
from custody.store import accounts, export, home
from custody.writers.labelling import LETTERS, labels_for
from labels import identity
from labels.sheet import STOCKS, sheet
from scanner_app import decode

LABEL_HOST: Final = "CUSTODY.INVALID"
FOUND_PHONE: Final = "+852 0000 0000"
SITE: Final = "Asia/Hong_Kong"

LISTING: Final = """\
  Storage Changer /dev/sg5:1 Drives, 10 Slots ( 2 Import/Export )
Data Transfer Element 0:Empty
      Storage Element 1:Full :VolumeTag=ORO001L8
      Storage Element 2:Full :VolumeTag=ORO002L8
      Storage Element 3:Full :VolumeTag=ORO003L8
      Storage Element 4:Full :VolumeTag=ORO004L8
      Storage Element 5:Full :VolumeTag=ORO005L8
      Storage Element 6:Full :VolumeTag=ORO006L8
      Storage Element 7:Full :VolumeTag=ORO007L8
      Storage Element 8:Full :VolumeTag=CLN001L1
      Storage Element 9 IMPORT/EXPORT:Full
      Storage Element 10 IMPORT/EXPORT:Empty
"""
"""`mtx status`, as a library with one unreadable label says it."""

INVENTORY: Final = """\
volser;data set;title;people;copies
ORO001L8;CREDITORS;Creditors' proofs of debt;60,000-64,000;yes
ORO002L8;CREDITORS;Creditors' proofs of debt;60,000-64,000;yes
ORO003L8;CREDITORS;Creditors' proofs of debt;60,000-64,000;yes
ORO004L8;CREDITORS;Creditors' proofs of debt;60,000-64,000;yes
ORO005L8;STAFF;Staff records;12000;yes
ORO006L8;CASES;Case management, nightly;unknown;yes
ORO007L8;CASES;Case management, nightly;unknown;yes
"""
"""What is on them: exported from a spreadsheet, with semicolons."""

CAST: Final[dict[str, tuple[str, str, list[tuple[str, str | None]]]]] = {
    "ann": ("Ann Au", "HOME", [("site-operator", "TOWER")]),
    "mona": ("Mona Mak", "HOME", [("site-manager", "TOWER")]),
    "ben": ("Ben Bao", "HOME", [("site-operator", "VAULT")]),
    "max": ("Max Mok", "HOME", [("site-manager", "VAULT")]),
    "carl": ("Carl Chan", "FLEET", [("courier", None)]),
    "cora": ("Cora Chu", "FLEET", [("courier", None)]),
    "dana": ("Dana Dai", "HOME", [("senior-manager", None)]),
    "sam": ("Sam So", "HOME", [("senior-manager", None)]),
    "hal": ("Hal Ho", "HOME", [("head", None)]),
    "dora": ("Dora Du", "HOME", [("data-protection-officer", None)]),
    "ivo": ("Ivo Ip", "HOME", [("it-security", None)]),
    "olga": ("Olga Ong", "HOME", [("auditor", None)]),
}


class Clock:
    """Story time. It runs as real time does, `pace` times as fast, and can be set on, never back."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._real = time.monotonic()

    def __call__(self) -> datetime:
        """The story's moment now."""
        return self._start + timedelta(seconds=time.monotonic() - self._real)

    def skip_to(self, moment: datetime) -> None:
        """The quiet hours until then pass at once."""
        if moment > self():
            self._start, self._real = moment, time.monotonic()


def day(text: str, which: int = 23) -> datetime:
    """A moment of the story in December 2024, Hong Kong time, such as `day("10:30")`."""
    hour, minute = text.split(":")
    return datetime(2024, 12, which, int(hour), int(minute), tzinfo=UTC) - timedelta(hours=8)


def wall(moment: datetime) -> str:
    """The same moment as a clock in Hong Kong shows it."""
    return f"{moment.astimezone(UTC) + timedelta(hours=8):%H:%M:%S}"


@dataclass
class Story:
    """Tells it, step by step, into a folder. `say` is given each line as it happens."""

    folder: Path
    relay: Relay
    say: Callable[[str], None]
    base_url: str
    keys: dict[str, SigningKey] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = Clock(day("09:00", 18))
        self.keys["ada"], self.ids["ada"] = parts.new_key(), "P-1"
        founding = home.Founding(
            origin=DEMO_ORIGIN,
            organisation="HOME",
            contact="ada@demo.invalid",
            log_key=LogKey(DEMO_ORIGIN, Ed25519PrivateKey.generate()),
            server_key=parts.new_key(),
            founder_key=self.keys["ada"],
        )
        self.book, self.genesis = home.create(self.folder / "book", founding, self.clock, secrets.token_bytes)
        self.monitor = Monitor(self.book, {"email": Email(self.relay, self.clock)}, self.base_url)
        self.tapes: tuple[str, ...] = ()
        self.spare: tuple[str, ...] = ()

    # ------------------------------------------------------------------------------------------ the steps

    def tell(self) -> None:
        """The whole story, up to the moment at which the pages are served."""
        self.set_up()
        self.take_in_the_library()
        self.print_labels()
        with self.watching():
            self.send_off_the_seven()
            self.send_off_one_that_arrives()
            self.lose_it()
        self.hand_out()

    def set_up(self) -> None:
        """Two sites, a carrier under contract, thirteen people, each with a device of their own."""
        for site in ("TOWER", "VAULT"):
            people.open_site(self.book, "P-1", orders.OpenSite(site=site, zone=SITE), how="demo")
        contract = orders.AdmitOrganisation(organisation="FLEET", until=self.clock() + timedelta(days=3650))
        people.admit_organisation(self.book, "P-1", contract, how="demo")
        accounts.add(self.book, "P-1", "Ada An", "ada@demo.invalid")
        for name, (full, organisation, roles) in CAST.items():
            grants = tuple(orders.Grant.model_validate({"role": r, "site": s}) for r, s in roles)
            address = f"{name}@demo.invalid"
            order = orders.Invite(name=full, address=address, organisation=organisation, grants=grants)
            invited = people.invitation(self.book, order)
            self.sign(invited, by=("ada",))
            self.ids[name] = invited.person
            accounts.add(self.book, self.ids[name], full, address)
            self.keys[name] = parts.new_key()
            fact = Enrolled(self.ids[name], self.keys[name].public.spki)
            self.sign(fact, by=(name, "ada"))
        self.sign(SetUpClosed(), by=("ada",))
        route = orders.SetRoute(route="TOWER-VAULT", origin_site="TOWER", destination="VAULT", transit=60)
        self.sign(consignments.route(route), by=("dana",))
        self.note(f"{len(self.ids)} people enrolled, each device confirmed by a second one; set-up closed")
        self.note("the route TOWER-VAULT: 60 minutes at most, signed by Dana, a senior manager")

    def take_in_the_library(self) -> None:
        """Seven tapes out of a real listing, what is on them out of a CSV; a case, seals, more tapes."""
        self.clock.skip_to(day("10:00", 20))
        library = mtx.read(LISTING)
        rows = inventory.read(INVENTORY.encode("utf-8-sig"))
        draw = parts.draw_identity
        taken = media.take_in(self.book, "P-1", "TOWER", library, rows, draw=draw, how="import")
        self.tapes = tuple(taken.ids[f"ORO00{n}L8"] for n in range(1, 8))
        things = [
            media.New("case"),
            media.New("seal"),
            *(media.New("medium", f"DAY00{n}L8") for n in range(1, 7)),
        ]
        self.spare = media.register(self.book, "P-1", "TOWER", things, draw, how="import")
        self.note(f"{len(taken.fresh)} LTO tapes registered from `mtx status`; a case and a seal")
        self.note(f"flagged, not skipped: {'; '.join(taken.flagged)}")

    def print_labels(self) -> None:
        """Labels as a PDF, and each of them read back from the page as a printer would draw it."""
        names = (*self.tapes, *self.spare)
        with self.book.world() as world:
            things = [world.get(Medium, name) for name in names]
        stock = STOCKS["L7160"]
        pdf = sheet(labels_for(things, stock, LABEL_HOST, FOUND_PHONE).labels, stock)
        media.labelled(self.book, "P-1", names, "L7160", how="demo")
        (self.folder / "labels.pdf").write_bytes(pdf)
        read = {code.text for page in pages(pdf) for code in decode.read(page, want=None).codes}
        wanted = {identity.url(LABEL_HOST, LETTERS[thing.what], thing.id) for thing in things}
        if not wanted <= read:
            raise AssertionError(f"{len(wanted - read)} labels cannot be read back from the rendered page")
        self.note(f"labels.pdf: {len(names)} labels, each read back from the rendered page")

    def send_off_the_seven(self) -> None:
        """Packed, requested, approved, picked up: and from then on the clock decides."""
        self.clock.skip_to(day("09:00"))
        case, seal = self.spare[:2]
        packed = self.sign(consignments.packing("TOWER", case, seal, self.tapes), by=("ann",))
        first = self.request("ann", self.tapes, day("09:45"), packing=packed)
        self.note(f"Ann packs seven tapes into a case, seals it, and requests {first}")
        self.clock.skip_to(day("09:05"))
        self.approve(first, "mona")
        (self.folder / "manifest.pdf").write_bytes(documents.manifest_pdf(self.book, first))
        self.note(f"Mona, the site's manager, approves {first}: the alarm is armed")
        self.clock.skip_to(day("09:30"))
        self.hand(first, "ann", "carl", "TOWER", read="case", seal="intact", seal_read=seal)
        self.note(
            f"Carl takes {first}: one statement, signed by both with their own keys; due {self.due(first)}"
        )

    def send_off_one_that_arrives(self) -> None:
        """The second consignment arrives complete, and nobody is told anything but that."""
        self.clock.skip_to(day("09:35"))
        second = self.request("ann", self.spare[2:4], day("09:45"))
        self.approve(second, "mona")
        self.clock.skip_to(day("09:40"))
        self.hand(second, "ann", "cora", "TOWER")
        self.clock.skip_to(day("10:05"))
        self.hand(second, "cora", "ben", "VAULT")
        self.note(f"{second} arrives complete: Ben reads each tape, both sign, the alarm is disarmed")

    def lose_it(self) -> None:
        """Carl never arrives. Nobody says anything. The clock does."""
        self.until("10:15", "C-1 is due in a quarter of an hour: a reminder, no alert")
        self.until("10:30", "C-1 has not arrived, and nobody has said anything: rung 1")
        self.clock.skip_to(day("10:34"))
        alarms.acknowledge(self.book, self.ids["dana"], self.lost().id, how="demo")
        self.note("Dana acknowledges, signed in: it spares her the repeats for an hour, and stops nothing")
        self.third()
        self.until("10:45", "rung 2: all senior managers, data protection officer, IT security")
        self.until("11:00", "rung 3: the head. The tapes are presumed missing; the incident opens by itself")
        with self.book.world() as world:
            incident = incident_of(world, "C-1")
        if incident is None:
            raise AssertionError("no incident has opened")
        pdf = documents.incident_pdf(self.book, incident.id, self.name_of)
        (self.folder / "incident.pdf").write_bytes(pdf)
        self.until("11:30", "rung 4: again every half an hour, until somebody owns it and has decided")

    def lost(self) -> Alarm:
        """The alarm of the consignment that never arrives."""
        with self.book.world() as world:
            return world.get(Alarm, world.get(Consignment, "C-1").alarms[0])

    def third(self) -> None:
        """A third one leaves. It falls due when the visitor is looking."""
        self.clock.skip_to(day("10:36"))
        third = self.request("ann", self.spare[4:8], day("10:45"))
        self.approve(third, "mona")
        self.clock.skip_to(day("10:40"))
        self.hand(third, "ann", "cora", "TOWER")
        self.note(f"Cora takes {third}, due {self.due(third)}: that one is yours to watch")

    def hand_out(self) -> None:
        """What is given away: the ledger, and how to judge it."""
        export.export_bundle(self.book, self.folder / "bundle.zip")
        export.export_tiles(self.book, self.folder / "log")
        for name in ("policy", "genesis.txt"):
            shutil.copyfile(self.folder / "book" / name, self.folder / name)
        lines = list(self.timeline())
        (self.folder / "timeline.txt").write_text("\n".join(lines) + "\n", "utf-8")

    def timeline(self) -> Iterator[str]:
        """`10:30:00.0  deadline` and what came of it, from the ledger."""
        with self.book.world() as world:
            alarm = world.get(Alarm, world.get(Consignment, "C-1").alarms[0])
            notices = sorted(
                (n for n in world.all(Notice) if n.about == alarm.id),
                key=lambda n: (n.accepted_at or n.scheduled, n.id),
            )
            incident = incident_of(world, "C-1")
            rows = [(alarm.due, f"deadline of C-1 ({len(world.get(Consignment, 'C-1').media)} tapes)")]
            for notice in notices:
                who = self.title(notice.person)
                rung, _, repeat = notice.id.split("/")[1].partition(".")
                rung += f", repeat {repeat}" if repeat != "0" else ""
                if notice.accepted_at is not None:
                    rows.append((notice.accepted_at, f"rung {rung}: mail to {who} accepted by the relay"))
            rows += [(a.at, f"acknowledged by {self.title(a.person)}") for a in alarm.acknowledgements]
            if incident is not None:
                rows.append((incident.opened_at, f"incident {incident.id} opened: presumed missing"))
        for moment, what in sorted(rows, key=lambda row: row[0]):
            yield f"{wall(moment)}.{moment.microsecond // 100_000}  {what}"

    def told_senior_after(self) -> timedelta:
        """From the deadline to the relay's 250 for the first notice to a senior manager."""
        seniors = {self.ids["dana"], self.ids["sam"]}
        with self.book.world() as world:
            alarm = world.get(Alarm, world.get(Consignment, "C-1").alarms[0])
            accepted = [
                n.accepted_at
                for n in world.all(Notice)
                if n.about == alarm.id and n.person in seniors and n.accepted_at and n.scheduled >= alarm.due
            ]
        return min(accepted) - alarm.due

    # ------------------------------------------------------------------------------- what people do in it

    def request(
        self, by: str, tapes: tuple[str, ...], pick_up_by: datetime, packing: str | None = None
    ) -> str:
        """A consignment to the vault, carried by the fleet."""
        order = orders.Request(
            route="TOWER-VAULT", carrier="FLEET", pick_up_by=pick_up_by, media=tapes, packing=packing
        )
        return consignments.request(self.book, self.ids[by], order, how="demo")

    def approve(self, name: str, by: str) -> None:
        """Signs the approval of a consignment."""
        with self.book.world() as world:
            fact, about = consignments.approval(world, name)
        self.sign(fact, about, by=(by,))

    def hand(self, name: str, giver: str, taker: str, site: str, **read: Any) -> None:
        """Taker and giver sign one statement, in this order, each with their own key."""
        with self.book.world() as world:
            fact, about = consignments.hand_off(
                world,
                name,
                giver=self.party(giver),
                taker=self.party(taker),
                site=site,
                **read,
            )
        self.sign(fact, about, by=(taker, giver))

    def party(self, name: str) -> Party:
        """Someone's device, and the checkpoint that it has seen."""
        note = Note.read(self.book.checkpoint().encode())
        return Party(self.keys[name].public.id, Checkpoint.read(note.text).seen)

    def sign(self, fact: Fact, about: str | None = None, *, by: tuple[str, ...]) -> str:
        """These people sign, one after the other; gives the event's id."""
        payload = signing.statement(self.book, fact, about)
        for name in by:
            key = self.keys[name]
            signature = key.sign(pae(payload))
            outcome = signing.sign(self.book, self.ids[name], payload, key.public.id, signature, how="demo")
        return outcome.event

    # ------------------------------------------------------------------------------------------- the clock

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The monitor goes round and round in a thread of its own, as it does in production."""
        stop = threading.Event()
        thread = threading.Thread(target=self.monitor.run, args=(stop,), name="monitor")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def until(self, text: str, what: str) -> None:
        """The quiet time passes; the last second before a deadline, and what follows, pass as they do."""
        self.clock.skip_to(day(text) - timedelta(seconds=1))
        while not self.quiet(day(text)):
            time.sleep(0.05)
        self.note(what)

    def quiet(self, moment: datetime) -> bool:
        """Whether everything that is owed by then was recorded, and everything to be sent was sent."""
        with self.book.world() as world:
            soon = moment + timedelta(seconds=3)  # a due time has the fraction of a second of its pick-up
            armed = [a for a in world.all(Alarm) if a.next_at is not None and a.next_at <= soon]
            waiting = [n for n in world.all(Notice) if n.accepted_at is None and digest_of(n) is None]
        return self.clock() >= moment and not armed and not waiting

    # ---------------------------------------------------------------------------------------------- words

    def third_is_due_in(self, minutes: int) -> datetime:
        """The moment so many minutes before the third consignment is due."""
        with self.book.world() as world:
            due = world.get(Consignment, "C-3").due
        return (due or self.clock()) - timedelta(minutes=minutes)

    def note(self, what: str) -> None:
        """A line of the story."""
        self.say(f"{self.clock() + timedelta(hours=8):%d %b %H:%M:%S}  {what}")

    def due(self, name: str) -> str:
        """When a consignment is due, on the wall clock."""
        with self.book.world() as world:
            due = world.get(Consignment, name).due
        return wall(due) if due else "-"

    def name_of(self, person: str) -> str | None:
        """The name behind a number, as the accounts have it."""
        name = next((n for n, number in self.ids.items() if number == person), None)
        return CAST[name][0] if name in CAST else None

    def title(self, person: str) -> str:
        """`senior manager Dana Dai (P-8)`."""
        name = next(n for n, number in self.ids.items() if number == person)
        full, _, roles = CAST[name]
        return f"{roles[0][0].replace('-', ' ')} {full} ({person})"


def pages(pdf: bytes, dpi: int = 300) -> Iterator[Any]:
    """Each page as a picture, as a printer of so many dots would draw it."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        for page in document:
            yield page.render(scale=dpi / 72, grayscale=True).to_pil()
    finally:
        document.close()
