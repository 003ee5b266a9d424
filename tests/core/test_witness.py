"""What a witness is asked and what it owes: C2SP tlog-witness and tlog-cosignature, without a database."""

from __future__ import annotations

import contextlib
import hashlib
import struct

import pytest
from core.otherlog import OtherLog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.errors import Unreadable
from custody.ledger.merkle import EMPTY
from custody.ledger.note import Checkpoint, LogKey, Note, Policy, VerifierKey, WitnessKey
from custody.ledger.witness import (
    AddCheckpoint,
    Declined,
    Known,
    cosignatures,
    cosigned_at,
    judge,
    latest_size,
)
from custody.strict import base64text, unbase64

LOG = OtherLog("example.com/log42")
FORK = OtherLog("example.com/log42", entries="rewritten")
THIEF = OtherLog("example.com/log42", key="a stolen name")
NEXT = OtherLog("example.com/log42", key="the log's next key")
KEYS = (VerifierKey.read(LOG.vkey),)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = WitnessKey("witness.example/w1", PRIVATE)
OTHER = WitnessKey("witness.example/w2", Ed25519PrivateKey.from_private_bytes(bytes(32)))
MOMENT = 1_679_315_147

# -------------------------------------------------------------------------- the specifications' examples

ASKED = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""  # noqa: E501 - signature lines are not broken
ANSWERED = """\
— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
"""  # noqa: E501 - likewise
SOFA = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""
SOFA_COSIGNED = (
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZq"
    "hf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_the_request_of_the_specification_is_read_and_written_back() -> None:
    request = AddCheckpoint.read(ASKED.encode())
    assert (request.old, len(request.proof), len(request.note.signatures)) == (20852014, 4, 2)
    assert request.checkpoint == Checkpoint.read(SOFA)
    assert bytes(request) == ASKED.encode()


def test_the_answer_of_the_specification_holds_nothing_for_who_trusts_none_of_its_witnesses() -> None:
    assert cosignatures(ANSWERED.encode(), SOFA, [WITNESS.verifier, OTHER.verifier]) == ()


def test_the_cosignature_of_the_specification_states_its_time() -> None:
    (line,) = Note.read(f"{SOFA}\n{SOFA_COSIGNED}".encode()).signatures
    assert cosigned_at(line) == MOMENT
    assert str(line) == SOFA_COSIGNED


def test_a_cosignature_signs_the_message_that_the_specification_writes_out() -> None:
    message = (
        "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    material = b"\x04" + WITNESS.verifier.public
    key_id = hashlib.sha256(b"witness.example/w1\n" + material).digest()[:4]
    signature = key_id + struct.pack(">Q", MOMENT) + PRIVATE.sign(message.encode())
    assert WITNESS.cosign(SOFA, MOMENT) == f"— witness.example/w1 {base64text(signature)}\n"
    assert str(WITNESS.verifier) == f"witness.example/w1+{key_id.hex()}+{base64text(material)}"


@pytest.mark.parametrize("moment", [-1, 0, 1 << 63])
def test_no_cosignature_is_made_without_a_time(moment: int) -> None:
    with pytest.raises(AssertionError):
        WITNESS.cosign(SOFA, moment)


def test_a_witnesss_key_is_kept_as_a_logs_is_and_is_not_one() -> None:
    again = WitnessKey.from_pem("witness.example/w1", WITNESS.pem())
    assert again.cosign(SOFA, MOMENT) == WITNESS.cosign(SOFA, MOMENT)
    assert LogKey.from_pem("witness.example/w1", WITNESS.pem()).verifier != WITNESS.verifier
    with pytest.raises(Unreadable):
        WitnessKey.from_pem("witness.example/w1", b"nothing")


# ------------------------------------------------------------------------------------------- the request

BODY = LOG.ask(3, 7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"old 3",
        b"old 3\n\n",
        BODY.replace(b"old 3", b"old  3"),
        BODY.replace(b"old 3", b"old 03"),
        BODY.replace(b"old 3", b"old +3"),
        BODY.replace(b"old 3", b"old -3"),
        BODY.replace(b"old 3", b"old "),
        BODY.replace(b"old 3", b"old"),
        BODY.replace(b"old 3", b"new 3"),
        BODY.replace(b"old 3", b"old 3 "),
        BODY.replace(b"old 3", b"old 3\r"),
        BODY.replace(b"old 3", b"old 9223372036854775808"),
        BODY.replace(b"old 3", b"old " + b"9" * 5000),
        BODY.replace(b"old 3", "old \u0663".encode()),
        BODY.replace(b"old 3\n", b"old 3\n" + base64text(bytes(31)).encode() + b"\n"),
        BODY.replace(b"old 3\n", b"old 3\n" + base64text(bytes(33)).encode() + b"\n"),
        BODY.replace(b"old 3\n", b"old 3\n" + base64text(bytes(32)).encode().rstrip(b"=") + b"\n"),
        BODY.replace(b"old 3\n", b"old 3\n" + base64text(bytes(32)).encode()[:-2] + b"B=\n"),
        BODY.replace(b"old 3\n", b"old 3\n\n"),
        BODY.replace(b"\n\n", b"\n"),
        BODY[:-1],
        BODY + b"\n",
        BODY.replace(b"\n7\n", b"\n07\n"),
        LOG.ask(3, 7, note=LOG.note(7, more="one\n\nmore\n")),
        LOG.ask(3, 7, note=LOG.note(7).replace("\n7\n", "\n9223372036854775808\n")),
        LOG.ask(3, 7, [bytes(32)] * 64),
        b"\xff" + BODY,
    ],
)
def test_other_requests_are_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        AddCheckpoint.read(body)


def test_a_proof_of_63_lines_is_read() -> None:
    assert len(AddCheckpoint.read(LOG.ask(3, 7, [bytes(32)] * 63)).proof) == 63


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_request_in_its_one_spelling_or_refused(body: bytes) -> None:
    one_spelling(body)


@given(st.integers(0, len(BODY)), st.integers(0, 4), st.text("\n\r =+-—0123ABold\x00\x7f\u2028é", max_size=4))
@settings(max_examples=400)
def test_a_changed_request_is_one_in_its_one_spelling_or_refused(at: int, cut: int, put: str) -> None:
    one_spelling(BODY[:at] + put.encode() + BODY[at + cut :])


def one_spelling(body: bytes) -> None:
    try:
        request = AddCheckpoint.read(body)
    except Unreadable:
        return
    assert bytes(request) == body


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_that_was_written_is_read(old: int, proof: list[bytes]) -> None:
    request = AddCheckpoint(old, tuple(proof), Note.read(LOG.note(7).encode()))
    assert AddCheckpoint.read(bytes(request)) == request


def test_our_own_log_writes_the_request_that_another_make_writes() -> None:
    ours = LogKey("example.com/log42", LOG.private)
    note = ours.sign(Checkpoint("example.com/log42", 7, LOG.root(7)))
    assert bytes(AddCheckpoint(3, tuple(LOG.proof(3, 7)), Note.read(note.encode()))) == BODY


@pytest.mark.parametrize(
    "digits", ["", "\n", "1", "01\n", "+1\n", " 1\n", "1\n\n", "-0\n", "\u0661\n", "\xb2\n", "9" * 19 + "\n"]
)
def test_the_answer_of_a_conflict_is_a_size_in_its_one_spelling(digits: str) -> None:
    assert (latest_size(b"0\n"), latest_size(b"9223372036854775807\n")) == (0, 2**63 - 1)
    with pytest.raises(Unreadable):
        latest_size(digits.encode())


# ------------------------------------------------------------------------------------------ the judgement


def asked(body: bytes, size: int = 3, keys: tuple[VerifierKey, ...] = KEYS) -> Note:
    """The judgement of a witness that cosigned this size of LOG last."""
    return judge(AddCheckpoint.read(body), Known(keys, size, LOG.root(size)))


def test_an_honest_log_is_cosigned_from_every_size_to_every_later_one() -> None:
    for old in range(25):
        for size in range(old, 25):
            assert asked(LOG.ask(old, size), old).text == LOG.text(size)


def test_a_witness_that_has_seen_nothing_begins_anywhere() -> None:
    known = Known(KEYS)
    assert (known.size, known.root) == (0, EMPTY)
    assert str(judge(AddCheckpoint.read(LOG.ask(0, 9)), known)) == LOG.note(9)
    assert str(judge(AddCheckpoint.read(LOG.ask(0, 0)), known)) == LOG.note(0)


DECLINED = {
    "a bad signature": (403, LOG.ask(3, 7, note=LOG.note(7)[:-7] + "AAAAA=\n")),
    "another's key under the log's name": (403, THIEF.ask(3, 7)),
    "no signature but of strangers": (403, LOG.ask(3, 7, note=f"{LOG.text(7)}\n{SOFA_COSIGNED}")),
    "a good signature and a bad one of one key": (
        403,
        LOG.ask(3, 7, note=LOG.note(7) + LOG.line(LOG.text(8))),
    ),
    "a signature over another text": (403, LOG.ask(3, 7, note=f"{LOG.text(7)}\n{LOG.line(LOG.text(8))}")),
    "a tree smaller than the old": (400, LOG.ask(3, 2, [])),
    "an old checkpoint once more": (409, LOG.ask(0, 2)),
    "an old size that the witness is past": (409, LOG.ask(2, 7)),
    "an old size that the witness never saw": (409, LOG.ask(5, 7)),
    "the fork's next tree": (422, FORK.ask(3, 7)),
    "the fork's root for the same size": (422, FORK.ask(3, 3)),
    "a proof where none is due": (422, LOG.ask(3, 3, LOG.proof(3, 7))),
    "no proof": (422, LOG.ask(3, 7, [])),
    "a proof too short": (422, LOG.ask(3, 7, LOG.proof(3, 7)[:-1])),
    "a proof too long": (422, LOG.ask(3, 7, [*LOG.proof(3, 7), bytes(32)])),
    "a proof for another size": (422, LOG.ask(3, 7, LOG.proof(3, 8))),
    "a proof upside down": (422, LOG.ask(3, 7, LOG.proof(3, 7)[::-1])),
    "a forged root": (422, LOG.ask(3, 7, note=LOG.note(7, bytes(32)))),
}


@pytest.mark.parametrize(("status", "body"), DECLINED.values(), ids=DECLINED)
def test_each_refusal_has_the_status_of_the_specification(status: int, body: bytes) -> None:
    with pytest.raises(Declined) as refusal:
        asked(body)
    assert refusal.value.status == status
    assert status != 409 or str(refusal.value) == "3", "the answer of a conflict is the size and nothing else"


def test_a_log_that_nobody_added_is_not_known() -> None:
    with pytest.raises(Declined) as refusal:
        judge(AddCheckpoint.read(BODY), None)
    assert refusal.value.status == 404


@pytest.mark.parametrize(
    "body",
    [LOG.ask(0, 7, [bytes(32)]), LOG.ask(0, 0, [bytes(32)]), LOG.ask(0, 0, note=LOG.note(0, bytes(32)))],
)
def test_from_nothing_there_is_no_proof_and_nothing_has_one_root(body: bytes) -> None:
    with pytest.raises(Declined) as refusal:
        asked(body, 0)
    assert refusal.value.status == 422


def test_one_changed_bit_of_a_proof_is_declined() -> None:
    proof = LOG.proof(5, 13)
    for line in range(len(proof)):
        for bit in range(0, 256, 37):
            bent = (int.from_bytes(proof[line], "big") ^ 1 << bit).to_bytes(32, "big")
            with pytest.raises(Declined):
                asked(LOG.ask(5, 13, [*proof[:line], bent, *proof[line + 1 :]]), 5)


def test_signatures_of_strangers_are_left_behind() -> None:
    unknown = f"— {LOG.origin} {base64text(bytes(80))}\n"
    doubled = LOG.line(LOG.text(7)) * 2
    note = f"{LOG.text(7)}\n{SOFA_COSIGNED}{unknown}{doubled}{THIEF.line(LOG.text(7))}"
    assert str(asked(LOG.ask(3, 7, note=note))) == LOG.note(7)


def test_a_log_that_changes_its_key_signs_with_either_or_both() -> None:
    keys = (*KEYS, VerifierKey.read(NEXT.vkey))
    both = f"{LOG.text(7)}\n{NEXT.line(LOG.text(7))}{LOG.line(LOG.text(7))}"
    for note, lines in ((LOG.note(7), 1), (NEXT.note(7), 1), (both, 2)):
        assert len(asked(LOG.ask(3, 7, note=note), keys=keys).signatures) == lines
    spoiled = f"{LOG.note(7)}{NEXT.line(LOG.text(8))}"
    with pytest.raises(Declined):
        asked(LOG.ask(3, 7, note=spoiled), keys=keys)


def test_extension_lines_of_another_make_are_cosigned_with_the_rest() -> None:
    note = LOG.note(7, more="a line of its own\n— even this\n")
    assert str(asked(LOG.ask(3, 7, note=note))) == note


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.sampled_from([LOG, FORK]))
def test_only_the_log_itself_is_cosigned_and_only_from_where_the_witness_stands(
    latest: int, old: int, size: int, log: OtherLog
) -> None:
    try:
        asked(log.ask(old, size), latest)
    except Declined:
        assert old != latest or size < old or (log is FORK and latest > 0)
    else:
        assert old == latest <= size
        assert log is LOG or latest == 0


# --------------------------------------------------------------------------------------------- the answer

TRUSTED = [WITNESS.verifier, OTHER.verifier]


def test_cosignatures_are_taken_in_the_policys_order_and_strangers_ignored() -> None:
    answer = OTHER.cosign(SOFA, 5) + SOFA_COSIGNED + WITNESS.cosign(SOFA, 6) + WITNESS.cosign(SOFA, 7)
    found = cosignatures(answer.encode(), SOFA, TRUSTED)
    assert [(each.name, cosigned_at(each)) for each in found] == [
        ("witness.example/w1", 6),
        ("witness.example/w2", 5),
    ]
    assert "".join(map(str, found)) == WITNESS.cosign(SOFA, 6) + OTHER.cosign(SOFA, 5)


def with_time(moment: int) -> str:
    message = f"cosignature/v1\ntime {moment}\n{SOFA}".encode()
    data = WITNESS.verifier.id + struct.pack(">Q", moment) + PRIVATE.sign(message)
    return f"— witness.example/w1 {base64text(data)}\n"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\n",
        "Not Found",
        "<html>\n",
        WITNESS.cosign(SOFA, 6)[:-1],
        WITNESS.cosign(SOFA, 6) + "\n" + WITNESS.cosign(SOFA, 6),
        WITNESS.cosign(SOFA.replace("63", "64"), 6),
        WITNESS.cosign(SOFA, 6) + WITNESS.cosign(SOFA + "x\n", 6),
        with_time(0),
        with_time(1 << 63),
        f"— witness.example/w1 {base64text(WITNESS.verifier.id + bytes(3))}\n",
    ],
)
def test_an_answer_that_is_none_or_of_no_good_signature_is_refused(answer: str) -> None:
    with pytest.raises(Unreadable):
        cosignatures(answer.encode(), SOFA, TRUSTED)


@given(st.binary(max_size=200))
def test_any_answer_is_read_or_refused(answer: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert cosignatures(answer, SOFA, TRUSTED) == ()


def test_what_a_witness_answers_satisfies_the_policy_that_names_it() -> None:
    text = LOG.text(7)
    policy = Policy.read(f"log {LOG.vkey}\nwitness w {WITNESS.verifier}\nquorum w\n".encode())
    found = cosignatures(WITNESS.cosign(text, 6).encode(), text, [key for _, key in policy.witnesses])
    assert policy.open(f"{LOG.note(7)}{''.join(map(str, found))}".encode()).witnesses == ("w",)
    assert unbase64(text.split("\n")[2]) == LOG.root(7)
