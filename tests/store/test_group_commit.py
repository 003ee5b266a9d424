"""Statements that arrive together: one transaction for all of them, and each stands or falls alone."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from store.test_book import Crash, crashing, full_disk
from world import World, new_key

from custody.acts import signing
from custody.errors import Conflict, Forged, Impossible, NoRoom, Unreadable
from custody.facts import Handed, Statement
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.keys import one_spelling
from custody.rules.handoffs import HandOff
from custody.store.book import Page, Recorded
from custody.store.tree import Tree

Call = Callable[[], Any]


def together(world: World, calls: list[Call]) -> list[Any]:
    """What each call returned or raised, all of them having arrived while the book was busy.

    The first has taken those with it that came within a moment; the others wait for them.
    """
    found: list[Any] = [None] * len(calls)

    def work(number: int) -> None:
        try:
            found[number] = calls[number]()
        except BaseException as problem:  # noqa: BLE001 - looked at by the test
            found[number] = problem

    crowd = world.book._together
    run, taken = crowd._run, [0]

    def watched(jobs: list[Any]) -> None:
        taken.append(len(jobs))
        run(jobs)

    crowd._run = watched
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    with world.book._turn:
        for thread in threads:
            thread.start()
        while sum(taken) + len(crowd._queue) + sum(not t.is_alive() for t in threads) < len(calls):
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    crowd._run = run
    return found


def hand_offs(world: World, count: int) -> list[bytes]:
    """Statements of as many pick-ups, unsigned."""
    names = [world.request(1) for _ in range(count)]
    for name in names:
        world.approve(name)
    return [world.hand_off(name, "ann", "carl", "NORTH") for name in names]


def bringing(world: World, payload: bytes, giver: str = "ann", taker: str = "carl") -> Call:
    signatures = world.both(payload, giver, taker)
    return lambda: signing.submit(world.book, payload, signatures)


def checkpoints(world: World) -> int:
    with world.book.read() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM checkpoint")) or 0)


def size(world: World) -> int:
    with world.book.read() as connection:
        return Tree(connection).size


def test_many_threads_statements_share_a_transaction(box: World) -> None:
    payloads = hand_offs(box, 12)
    before, entries = checkpoints(box), size(box)
    outcomes = together(box, [bringing(box, payload) for payload in payloads])
    assert {type(outcome) for outcome in outcomes} == {signing.Outcome}
    groups = checkpoints(box) - before
    assert groups in {1, 2}, "whoever came first, and all others"
    assert size(box) == entries + 12 + groups
    for payload, outcome in zip(payloads, outcomes, strict=True):
        assert box.get(HandOff, outcome.event).status == "recorded"
        assert bringing(box, payload)() == outcome, "the same place again"
    assert size(box) == entries + 12 + groups


def test_the_giver_s_signature_in_a_browser_shares_one_too(box: World) -> None:
    payloads = hand_offs(box, 6)

    def signing_as(name: str, payload: bytes) -> Call:
        key = box.keys[name]
        signature = key.sign(pae(payload))
        return lambda: signing.sign(box.book, box.ids[name], payload, key.public.id, signature)

    for payload in payloads:
        signing_as("carl", payload)()
    before = checkpoints(box)
    outcomes = together(box, [signing_as("ann", payload) for payload in payloads])
    assert checkpoints(box) - before in {1, 2}
    assert [box.get(HandOff, outcome.event).status for outcome in outcomes] == ["recorded"] * 6
    assert not signing.drafts(box.book, box.ids["ann"])
    with pytest.raises(Conflict, match="has moved on"):
        signing_as("ann", payloads[0])()


def test_what_cannot_be_is_refused_alone(box: World) -> None:
    good = hand_offs(box, 4)
    elsewhere = replace(Statement.read(good[0]), origin="other.example/log").payload()
    stranger = new_key()
    forged = {box.keys[name].public.id: stranger.sign(pae(good[1])) for name in ("ann", "carl")}
    calls = [
        bringing(box, good[0]),
        bringing(box, elsewhere),
        bringing(box, good[2]),
        lambda: signing.submit(box.book, good[1], forged),
        bringing(box, good[1]),
        bringing(box, good[3], "ann", "ben"),
        bringing(box, good[3]),
    ]
    before, entries = checkpoints(box), size(box)
    outcomes = together(box, calls)
    refused = {number: type(o) for number, o in enumerate(outcomes) if isinstance(o, Exception)}
    assert refused == {1: Impossible, 3: Forged, 5: Unreadable}
    assert size(box) - entries == 4 + checkpoints(box) - before
    assert {box.get(HandOff, event_id(payload)).status for payload in good} == {"recorded"}


def test_one_event_that_two_bring_at_once_enters_once(box: World) -> None:
    """Both parties' phones come back into the network, and each brings what both have signed."""
    (payload,) = hand_offs(box, 1)
    entries = size(box)
    outcomes = together(box, [bringing(box, payload)] * 6)
    assert set(outcomes) == {signing.Outcome(event_id(payload), entries)}
    assert size(box) == entries + 2


def test_a_trip_whose_hand_offs_arrive_at_once_in_any_order(box: World) -> None:
    (first,) = hand_offs(box, 1)
    legs = [("ann", "carl", "NORTH"), ("carl", "cora", "NORTH"), ("cora", "ben", "SOUTH")]
    payloads = [first]
    for giver, taker, site in legs[1:]:
        before = Statement.read(payloads[-1])
        assert isinstance(before.fact, Handed)
        fact = replace(
            before.fact,
            previous=event_id(payloads[-1]),
            giver=box.party(giver),
            taker=box.party(taker),
            site=site,
        )
        payloads.append(replace(before, fact=fact).payload())
    calls = [bringing(box, p, *leg[:2]) for p, leg in zip(payloads, legs, strict=True)]
    outcomes = together(box, [calls[2], calls[0], calls[1]])
    assert [type(outcome) for outcome in outcomes] == [signing.Outcome] * 3
    assert [box.get(HandOff, event_id(p)).status for p in payloads] == ["recorded"] * 3


def test_what_follows_falls_with_its_statement(box: World) -> None:
    payloads = hand_offs(box, 3)

    def says(page: Page, _: Recorded) -> None:
        page.private("this was said")

    def breaks(page: Page, _: Recorded) -> None:
        page.private("this was never said")
        raise Conflict("There is no room for what follows.")

    def bring(payload: bytes, then: Callable[[Page, Recorded], None]) -> Call:
        pair = tuple(Signature(k, one_spelling(s)) for k, s in box.both(payload, "ann", "carl").items())
        return lambda: box.book.admit(Envelope(payload, pair), "scanner", then)

    calls = [bring(payloads[0], says), bring(payloads[1], breaks), bring(payloads[2], says)]
    first, broken, third = together(box, calls)
    assert isinstance(broken, Conflict)
    assert {first.new, third.new} == {True}
    with box.book.read() as connection:
        texts = list(connection.scalars(sa.text("SELECT text FROM private WHERE text LIKE 'this was%'")))
    assert texts == ["this was said"] * 2
    assert bring(payloads[1], says)().new, "what was undone can be brought again"


def test_a_crash_at_any_statement_of_a_group_leaves_nothing_of_it_and_the_book_goes_on(box: World) -> None:
    payloads = hand_offs(box, 6)
    calls = [bringing(box, payload) for payload in payloads]
    calls[0]()
    for when in itertools.count():
        with crashing(box.book, when):
            outcomes = together(box, calls[1:])
        for payload, outcome in zip(payloads[1:], outcomes, strict=True):
            with box.book.world() as world:
                there = world.find(HandOff, event_id(payload)) is not None
            assert there or not isinstance(outcome, signing.Outcome), "answered, and never committed"
        if not any(isinstance(outcome, Crash) for outcome in outcomes):
            break
    assert when > 12, "there are more statements than this"
    assert {box.get(HandOff, event_id(payload)).status for payload in payloads} == {"recorded"}


@pytest.mark.on("sqlite")
def test_a_full_disk_refuses_the_whole_group(box: World) -> None:
    payloads = hand_offs(box, 40)
    calls = [bringing(box, payload) for payload in payloads]
    with full_disk(box):
        outcomes = together(box, calls)
        refused = [outcome for outcome in outcomes if isinstance(outcome, NoRoom)]
        assert refused
        assert {type(o) for o in outcomes} <= {NoRoom, signing.Outcome}
        recorded = [p for p, o in zip(payloads, outcomes, strict=True) if not isinstance(o, NoRoom)]
        assert all(box.get(HandOff, event_id(payload)) for payload in recorded)
    again = [call() for call in calls]
    assert len({outcome.seq for outcome in again}) == 40
