"""A company in a box: a real book on a real disk, a clock that is moved by hand, people with their own keys.

    world = World(tmp_path)
    c = world.dispatch(7)               # seven tapes: Ann requests, Mona approves, Carl picks up
    world.wait(hours=3)                 # the clock moves, and the monitor's clockwork with it
    world.hand(c, "carl", "ben")        # taker and giver sign one statement, each with their own key

The cast: Ann keeps NORTH, Mona manages it; Ben and Bea keep SOUTH, Max manages it; Carl and Cora drive for
the carrier FLEET; Dana and Sam are senior managers, Hal is the head, Dora the data protection officer, Ivo
guards IT security, Ada founded the book as its administrator, Olga audits. Mallory drives for FLEET, too.
"""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from postgresql import Server

from custody import audit, orders
from custody.acts import alarms, consignments, media, people, signing
from custody.facts import Enrolled, Fact, Packed, Party, Relaxation, SetUpClosed, Statement
from custody.ledger import bundle
from custody.ledger.envelope import Envelope, Signature, pae
from custody.ledger.keys import SigningKey, one_spelling
from custody.ledger.note import Checkpoint, LogKey
from custody.rules.alarms import Alarm, Notice
from custody.rules.cases import Packing
from custody.rules.consignments import Consignment
from custody.rules.world import N
from custody.store import export, home, tables
from custody.store.database import DRIVER
from custody.store.nouns import SHELVES
from custody.store.triggers import TRIGGERS
from labels import identity

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CAST = {
    "ann": ("HOME", [("site-operator", "NORTH")]),
    "mona": ("HOME", [("site-manager", "NORTH")]),
    "ben": ("HOME", [("site-operator", "SOUTH")]),
    "bea": ("HOME", [("site-operator", "SOUTH")]),
    "max": ("HOME", [("site-manager", "SOUTH")]),
    "carl": ("FLEET", [("courier", None)]),
    "cora": ("FLEET", [("courier", None)]),
    "mallory": ("FLEET", [("courier", None)]),
    "dana": ("HOME", [("senior-manager", None)]),
    "sam": ("HOME", [("senior-manager", None)]),
    "hal": ("HOME", [("head", None)]),
    "dora": ("HOME", [("data-protection-officer", None)]),
    "ivo": ("HOME", [("it-security", None)]),
    "olga": ("HOME", [("auditor", None)]),
}


def new_key() -> SigningKey:
    return SigningKey(generate_private_key(SECP256R1()))


class World:
    """See the module's story. `book` is the book, `at` the clock's moment, `keys` each person's key.

    With a `server` the book is in PostgreSQL, in the database `place`.
    """

    cartridges = 0

    def __init__(
        self,
        folder: Path,
        *,
        relaxed: tuple[Relaxation, ...] = (),
        origin: str = "test.example/log",
        server: Server | None = None,
    ) -> None:
        self.at = START
        self.server = server
        self.place = server.place() if server else None
        self.folder = folder / "book"
        self.keys = {"ada": new_key()}
        self.ids = {"ada": "P-1"}
        self.log_key = LogKey(origin, Ed25519PrivateKey.generate())
        founding = home.Founding(
            origin, "HOME", "ada@home.test", self.log_key, new_key(), self.keys["ada"], relaxed
        )
        self.book, self.genesis = home.create(
            self.folder, founding, self.clock, secrets.token_bytes, self.place
        )
        self._set_up()

    def __del__(self) -> None:
        self.book.engine.dispose()  # no line to a database is left to the garbage

    def clock(self) -> datetime:
        return self.at

    def reopen(self) -> None:
        """As a restarted process would."""
        self.book.engine.dispose()
        self.book = home.open_book(self.folder, self.clock, secrets.token_bytes)

    def copy(self, folder: Path) -> World:
        """The same company in another folder, with a book of its own from here on: quicker than a new one."""
        self.book.engine.dispose()
        twin = object.__new__(World)
        twin.__dict__ = {**self.__dict__, "keys": dict(self.keys), "ids": dict(self.ids)}
        twin.folder = folder / "book"
        shutil.copytree(self.folder, twin.folder)
        if self.server and self.place:
            twin.place = self.server.copy(self.place.address)
            (twin.folder / "database").write_text(twin.place.address)
        twin.book = home.open_book(twin.folder, twin.clock, secrets.token_bytes)
        return twin

    # ------------------------------------------------------------------------------------------- set-up

    def _set_up(self) -> None:
        for site in ("NORTH", "SOUTH"):
            people.open_site(self.book, "P-1", orders.OpenSite(site=site, zone="Asia/Hong_Kong"))
        until = self.at + timedelta(days=400)
        people.admit_organisation(
            self.book, "P-1", orders.AdmitOrganisation(organisation="FLEET", until=until)
        )
        for name in CAST:
            self.invite(name)
            self.enrol(name, "ada")
        self.sign("ada", SetUpClosed())
        self.set_route()
        self.at += timedelta(hours=25)  # devices of a day or more: receipts need no second person

    def invite(self, name: str) -> str:
        organisation, roles = CAST[name]
        grants = tuple(orders.Grant(role=role, site=site) for role, site in roles)
        order = orders.Invite(
            name=name, address=f"{name}@home.test", organisation=organisation, grants=grants
        )
        fact = people.invitation(self.book, order)
        self.sign("ada", fact)
        self.ids[name] = fact.person
        return self.ids[name]

    def enrol(self, name: str, confirmer: str, key: SigningKey | None = None) -> SigningKey:
        """A device of `name`, its key fresh unless given, confirmed by `confirmer`."""
        key = key or new_key()
        payload = signing.statement(self.book, Enrolled(self.ids[name], key.public.spki))
        signing.sign(self.book, self.ids[name], payload, key.public.id, key.sign(pae(payload)))
        confirming = self.keys[confirmer]
        signing.sign(
            self.book, self.ids[confirmer], payload, confirming.public.id, confirming.sign(pae(payload))
        )
        self.keys[name] = key
        return key

    def set_route(self, transit: int = 60) -> None:
        order = orders.SetRoute(route="N-S", origin_site="NORTH", destination="SOUTH", transit=transit)
        self.sign("dana", consignments.route(order))

    @contextmanager
    def owner(self) -> Iterator[sa.Connection]:
        """Whoever owns the file or the server at work: no settings of ours, each statement counts at once."""
        self.book.engine.dispose()
        engine = sa.create_engine(
            DRIVER if self.place else f"sqlite:///{self.folder / 'book.db'}", isolation_level="AUTOCOMMIT"
        )
        if self.place:
            sa.event.listen(
                engine, "do_connect", lambda _d, _r, args, _m: args.__setitem__(0, self.place.owner)
            )
        with engine.connect() as connection:
            yield connection
        engine.dispose()

    @contextmanager
    def unguarded(self) -> Iterator[sa.Connection]:
        """The same with the triggers dropped, which are put back as they were."""
        with self.owner() as owner:
            for name in TRIGGERS[owner.dialect.name]:
                self.drop(owner, name)
            yield owner
            for sql in TRIGGERS[owner.dialect.name].values():
                owner.execute(sa.text(sql))

    def drop(self, owner: sa.Connection, trigger: str) -> None:
        on = f" ON {trigger.partition('_')[0]}" if self.place else ""
        owner.execute(sa.text(f"DROP TRIGGER {trigger}{on}"))

    # ---------------------------------------------------------------------------------------- the trade

    def register(self, count: int, site: str = "NORTH", what: Any = "medium") -> tuple[str, ...]:
        things = [media.New(what, self._volser() if what == "medium" else None) for _ in range(count)]
        return media.register(self.book, "P-1", site, things, lambda: identity.draw(secrets.token_bytes))

    def _volser(self) -> str:
        """One that no cartridge has had."""
        self.cartridges += 1
        return f"T{self.cartridges - 1:05d}L8"

    def pack(self, count: int = 2) -> Packing:
        """New media in a new case under a new seal, read and packed by Ann."""
        (case,), (seal,) = self.register(1, what="case"), self.register(1, what="seal")
        return self.get(Packing, self.sign("ann", Packed("NORTH", case, seal, self.register(count))))

    def request(self, count: int = 7, *, minutes: int = 60) -> str:
        order = orders.Request(
            route="N-S",
            carrier="FLEET",
            pick_up_by=self.at + timedelta(minutes=minutes),
            media=self.register(count),
        )
        return consignments.request(self.book, self.ids["ann"], order)

    def approve(self, name: str, by: str = "mona") -> str:
        with self.book.world() as world:
            fact, about = consignments.approval(world, name)
        return self.sign(by, fact, about)

    def dispatch(self, count: int = 7, courier: str = "carl") -> str:
        """A consignment on its way."""
        name = self.request(count)
        self.approve(name)
        self.hand(name, "ann", courier, site="NORTH")
        return name

    def hand(self, name: str, giver: str, taker: str, site: str = "SOUTH", **read: Any) -> str:
        """A hand-off that both sign, through the drafts as two browsers would; gives its event id."""
        payload = self.hand_off(name, giver, taker, site, **read)
        for each in (taker, giver):
            key = self.keys[each]
            outcome = signing.sign(self.book, self.ids[each], payload, key.public.id, key.sign(pae(payload)))
        return outcome.event

    def hand_off(self, name: str, giver: str, taker: str, site: str = "SOUTH", **read: Any) -> bytes:
        """The statement of the next hand-off, unsigned."""
        with self.book.world() as world:
            fact, about = consignments.hand_off(
                world,
                name,
                giver=self.party(giver),
                taker=self.party(taker),
                site=site,
                **read,
            )
        return signing.statement(self.book, fact, about)

    def party(self, name: str) -> Party:
        checkpoint = Checkpoint.of(self.book.checkpoint())
        return Party(self.keys[name].public.id, checkpoint.seen)

    def both(self, payload: bytes, giver: str, taker: str) -> dict[str, bytes]:
        """The two signatures over a statement, as `signing.submit` takes them."""
        return {self.keys[n].public.id: self.keys[n].sign(pae(payload)) for n in (giver, taker)}

    def sign(self, by: str, fact: Fact, about: str | None = None) -> str:
        payload = signing.statement(self.book, fact, about)
        key = self.keys[by]
        return signing.sign(self.book, self.ids[by], payload, key.public.id, key.sign(pae(payload))).event

    def force(self, by: str, fact: Fact, about: str | None = None) -> str:
        """What `sign` does, past every check of policy: for what only the invariants are to judge."""
        payload = signing.statement(self.book, fact, about)
        return self.admit(payload, {self.keys[by].public.id: self.keys[by].sign(pae(payload))})

    def state(self, *facts: Fact) -> str:
        """The same for what the server's own key signs, on one page; gives the last one's event id."""
        with self.book.page("web") as page:
            return [page.record(fact).event for fact in facts][-1]

    def admit(self, payload: bytes, signatures: dict[str, bytes]) -> str:
        """A signed statement straight onto a page, signatures in the order given."""
        envelope = Envelope(payload, tuple(Signature(k, one_spelling(s)) for k, s in signatures.items()))
        with self.book.page("web") as page:
            return page.admit(envelope).event

    # ------------------------------------------------------------------------------------------ looking

    @contextmanager
    def unmoved(self) -> Iterator[None]:
        """Whatever is tried within, nothing of it enters the ledger."""
        before = self.book.checkpoint()
        yield
        assert self.book.checkpoint() == before, "something entered the ledger"

    def wait(self, **duration: float) -> None:
        """The clock moves on in steps of a minute, and after each the alarms climb."""
        until = self.at + timedelta(**duration)
        while self.at < until:
            self.at = min(self.at + timedelta(minutes=1), until)
            assert not alarms.climb(self.book).stuck

    def get(self, kind: type[N], name: str) -> N:
        with self.book.world() as world:
            return world.get(kind, name)

    def consignment(self, name: str) -> Consignment:
        return self.get(Consignment, name)

    def alarm(self, name: str, number: int = 0) -> Alarm:
        """A consignment's alarm; the first is the one that was armed with its approval."""
        return self.get(Alarm, self.consignment(name).alarms[number])

    def told(self, name: str) -> list[tuple[str, str]]:
        """Who is told of a consignment's first alarm, as (person, rung.repeat), in the order of time."""
        names = {number: person for person, number in self.ids.items()}
        alarm = self.alarm(name).id
        with self.book.world() as world:
            notices = [n for n in world.all(Notice) if n.about == alarm]
        notices.sort(key=lambda n: (n.scheduled, int(n.person[2:])))
        return [(names[n.person], n.id.split("/")[1]) for n in notices]

    def facts(self, start: int = 0) -> list[Any]:
        """What the ledger says from this entry on."""
        with self.book.read() as connection:
            query = sa.select(tables.Entry.data).where(tables.Entry.seq >= start).order_by(tables.Entry.seq)
            return [Statement.read(Envelope.read(data).payload).fact for data in connection.scalars(query)]

    def bundle(self) -> bytes:
        out = io.BytesIO()
        bundle.write(out, export.members(self.book))
        return out.getvalue()

    def policy(self) -> bytes:
        return (self.folder / "policy").read_bytes()

    def audit(self, **more: Any) -> audit.Report:
        return audit.verify(io.BytesIO(self.bundle()), self.policy(), **{"genesis": self.genesis, **more})

    def check(self) -> None:
        """The whole invariant: the ledger is sound, and its fold is what the tables hold."""
        report = self.audit()
        assert report.sound, audit.text(report)
        assert not [each for each in report.telling if each.kind == "untold"], report.telling
        with self.book.world() as world:
            for kind in SHELVES:
                told = {noun.id: noun for noun in report.world.all(kind)}
                held = {noun.id: noun for noun in world.all(kind)}
                assert told == held, f"the tables of {kind.__name__} are not the fold of the ledger"
