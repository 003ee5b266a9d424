"""The public formats, against their own specifications' vectors and against slow, obvious models."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib

import pytest
from core.rfc6962 import mth
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicNumbers,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from judges import vectors

from custody.errors import Unreadable
from custody.ledger import bundle, tiles
from custody.ledger.envelope import ENVELOPE_MOST, Envelope, Signature, event_id, pae
from custody.ledger.keys import ORDER, SigningKey, one_spelling, public_key
from custody.ledger.merkle import Frontier, leaf_hash, perfect_root
from custody.ledger.note import COSIGNATURE, Checkpoint, LogKey, Note, Policy, VerifierKey
from custody.strict import base64text, json_bytes, unbase64

# --------------------------------------------------------------------------------------------- the tree


def some_leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % i).digest() for i in range(count)]


def test_certificate_transparencys_tree() -> None:
    frontier = Frontier()
    assert frontier.root().hex() == vectors.EMPTY
    for leaf, root in zip(vectors.LEAVES, vectors.ROOTS, strict=True):
        frontier.add(leaf_hash(bytes.fromhex(leaf)))
        assert frontier.root().hex() == root


def test_the_frontier_is_the_tree_of_rfc_6962_at_every_size_up_to_300() -> None:
    leaves = some_leaves(300)
    frontier = Frontier()
    for size in range(301):
        assert frontier.size == size
        assert frontier.root() == mth(leaves[:size])
        if size < 300:
            before = frontier.copy()
            frontier.add(leaves[size])
            assert before.root() == mth(leaves[:size]), "adding to a tree changed its copy"


def test_the_frontier_at_the_edge_of_the_second_level_of_tiles() -> None:
    leaves = some_leaves(256 * 256 + 2)
    frontier = Frontier()
    for leaf in leaves[: 256 * 256 - 2]:
        frontier.add(leaf)
    for size in range(256 * 256 - 2, 256 * 256 + 3):
        assert frontier.root() == mth(leaves[:size])
        if size < len(leaves):
            frontier.add(leaves[size])


@given(st.integers(0, 5))
def test_a_perfect_root(power: int) -> None:
    leaves = some_leaves(1 << power)
    assert perfect_root(leaves) == mth(leaves)


# ------------------------------------------------------------------------------------------------- tiles


def test_the_tile_index_of_the_specification() -> None:
    assert tiles.tile_index(1234067) == "x001/x234/067"
    assert tiles.tile_index(0) == "000"
    assert tiles.tile_index(999) == "999"
    assert tiles.tile_index(1000) == "x001/000"


@given(
    st.builds(
        tiles.Tile,
        st.none() | st.integers(0, 63),
        st.integers(0, 10**12) | st.integers(0, 2000),
        st.integers(1, tiles.WIDTH),
    )
)
def test_a_tiles_path_is_read_back(tile: tiles.Tile) -> None:
    assert tiles.Tile.read(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/1000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/300",
        "tile/-1/000",
        "tile/entries/../000",
        "tile/0/001/",
        "tile/0/\u0661\u0661\u0661",
        "checkpoint",
    ],
)
def test_another_spelling_of_a_path_is_no_tile(path: str) -> None:
    with pytest.raises(Unreadable):
        tiles.Tile.read(path)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (1, 255), (255, 256), (256, 257), (300, 70_000), (7, 7)])
def test_what_is_new_is_what_the_older_tree_had_not(old: int, new: int) -> None:
    assert set(tiles.tiles(new, old)) == set(tiles.tiles(new)) - set(tiles.tiles(old))


def test_a_tree_of_70_000_leaves_has_the_files_that_the_specification_lists() -> None:
    level = {name: [p for p in tiles.paths(70_000) if p.startswith(f"tile/{name}/")] for name in (0, 1, 2, 3)}
    assert level[0] == [f"tile/0/{i:03d}" for i in range(273)] + ["tile/0/273.p/112"]
    assert level[1] == ["tile/1/000", "tile/1/001.p/17"]
    assert level[2] == ["tile/2/000.p/1"]
    assert level[3] == []
    entries = [p for p in tiles.paths(70_000) if p.startswith("tile/entries/")]
    assert entries == [p.replace("tile/0/", "tile/entries/") for p in level[0]]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000])
def test_the_hash_tiles_are_the_files_that_are_called_for_and_hold_the_tree(size: int) -> None:
    leaves = some_leaves(size)
    made = dict(tiles.hash_tiles(leaves))
    assert sorted(made) == sorted(p for p in tiles.paths(size) if not p.startswith("tile/entries/"))
    below = leaves
    for number in range(4):
        tiled = b"".join(data for path, data in made.items() if path.startswith(f"tile/{number}/"))
        assert tiled == b"".join(below)
        below = [mth(below[i : i + 256]) for i in range(0, len(below) - 255, 256)]


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(-2, 2), st.binary(max_size=3))
def test_an_entry_bundle_holds_its_entries_and_not_a_byte_more(
    entries: list[bytes], more: int, tail: bytes
) -> None:
    data = tiles.entry_bundle(entries)
    assert tiles.read_entry_bundle(data, len(entries)) == entries
    width = max(0, len(entries) + more)
    for changed in (data + tail, data[: len(data) - len(tail)]):
        if (changed, width) == (data, len(entries)):
            continue
        try:
            read = tiles.read_entry_bundle(changed, width)
        except Unreadable:
            continue
        assert tiles.entry_bundle(read) == changed


# ------------------------------------------------------------------------------------------ signed notes

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n— example.com/foo"
    " Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def test_the_example_of_signed_note() -> None:
    key, note = VerifierKey.read(VKEY), Note.read(NOTE.encode())
    assert (key.name, key.type, key.id.hex(), str(key)) == ("example.com/foo", 1, "530d903a", VKEY)
    assert note.text == "This is an example message.\n"
    (line,) = note.signatures
    assert (line.name, line.key_id) == (key.name, key.id)
    assert key.verifies(line.signature, note.text)
    assert not key.verifies(line.signature, note.text + "\n")
    assert str(note) == NOTE


@pytest.mark.parametrize("wrong", [b"", b"\x00", bytes(63), bytes(64), bytes(65), bytes(500)])
def test_a_signature_of_any_length_is_no_crash(wrong: bytes) -> None:
    assert not VerifierKey.read(VKEY).verifies(wrong, "text\n")
    assert not VerifierKey("w.example", COSIGNATURE, bytes(32)).verifies(wrong, "text\n")


@pytest.mark.parametrize(
    "vkey",
    [
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("foo+", "bar+"),
        VKEY + "=",
        VKEY[:-4],
        VKEY.replace("+Ae", "+Be"),
        VKEY.replace("example.com/foo", ""),
        "",
        "++",
    ],
)
def test_other_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(Unreadable):
        VerifierKey.read(vkey)


@pytest.mark.parametrize("name", ["a b", "a\u2003b", "a\tb"])
def test_a_key_name_has_no_space_of_any_alphabet(name: str) -> None:
    """signed-note: a key name "MUST be non-empty and not contain any Unicode spaces or plus"."""
    with pytest.raises(Unreadable):
        VerifierKey.read(str(VerifierKey(name, 1, bytes(32))))


@pytest.mark.parametrize(
    "note",
    [
        NOTE[:-1],
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("—", "-"),
        NOTE.replace("— ", "—"),
        NOTE.replace("foo Uw", "foo  Uw"),
        NOTE.replace("foo Uw", "fo+o Uw"),
        NOTE.replace("foo Uw", "fo\u2003o Uw"),
        NOTE + "\n",
        NOTE + "more\n",
        NOTE.replace("example m", "example\rm"),
        NOTE.replace("example m", "example\tm"),
        NOTE.replace("Iney", "Ine\u00ff"),
        "\n\n" + NOTE.split("\n\n")[1],
        "This is an example message.\n\n",
        "",
        NOTE + "".join(NOTE.split("\n\n")[1] for _ in range(64)),
    ],
)
def test_other_notes_are_refused(note: str) -> None:
    with pytest.raises(Unreadable):
        Note.read(note.encode())
    with pytest.raises(Unreadable):
        Note.read(NOTE.encode().replace(b"example m", b"example\xffm"))


CHECKPOINT = "custody.example/log\n1000\nLWcJdboCDsbsYuCPHvBUkmEUg0bXOZnKC4qi4vZfjSw=\n"


def test_a_checkpoint_has_one_spelling() -> None:
    checkpoint = Checkpoint.read(CHECKPOINT)
    assert (checkpoint.origin, checkpoint.size, checkpoint.text()) == (
        "custody.example/log",
        1000,
        CHECKPOINT,
    )
    for other in (
        CHECKPOINT.replace("1000", "01000"),
        CHECKPOINT.replace("1000", "+1000"),
        CHECKPOINT.replace("1000", "1 000"),
        CHECKPOINT.replace("1000", "\u0661\u0660\u0660\u0660"),
        CHECKPOINT.replace("1000", "1" * 5000),
        CHECKPOINT.replace("1000", ""),
        CHECKPOINT + "extension\n",
        CHECKPOINT[:-1],
        CHECKPOINT.replace("jSw=", "jSx="),
        CHECKPOINT.replace("LWcJ", ""),
        CHECKPOINT.replace("custody.example/log", ""),
    ):
        with pytest.raises(Unreadable):
            Checkpoint.read(other)


# ---------------------------------------------------------------------------------------------- policies


class Witness:
    """A witness as tlog-cosignature v1 has it, written here once more and from the specification."""

    def __init__(self, name: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        public = self._private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        material = b"\x04" + public
        self.id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        self.name = name
        self.vkey = f"{name}+{self.id.hex()}+{base64text(material)}"

    def cosign(self, text: str, moment: int = 1_679_315_147) -> str:
        signature = self._private.sign(f"cosignature/v1\ntime {moment}\n{text}".encode())
        return f"— {self.name} {base64text(self.id + struct.pack('>Q', moment) + signature)}\n"


LOG = LogKey("test.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_LOG = LogKey("test.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
W = [Witness(f"w{i}.example") for i in range(4)]
TEXT = Checkpoint("test.example/log", 3, bytes(32))
SIGNED = LOG.sign(TEXT)


def policy(*lines: str, log: str = f"log {LOG.verifier}") -> Policy:
    return Policy.read("\n".join([log, *lines, ""]).encode())


def witness_lines() -> list[str]:
    return [f"witness W{i} {w.vkey} https://w{i}.example/" for i, w in enumerate(W)]


def cosigned(*witnesses: int) -> bytes:
    return (SIGNED + "".join(W[i].cosign(TEXT.text()) for i in witnesses)).encode()


def test_a_log_alone() -> None:
    opened = policy("quorum none").open(SIGNED.encode())
    assert (opened.checkpoint, opened.witnesses) == (TEXT, ())


GROUPS = [
    *witness_lines(),
    "group Two 2 W0 W1 W2",
    "group Either any W3 Two",
    "group Both all Either",
    "quorum Both",
]


@pytest.mark.parametrize(
    ("present", "enough"),
    [
        ((), False),
        ((0,), False),
        ((0, 1), True),
        ((1, 2), True),
        ((3,), True),
        ((0, 3), True),
        ((0, 1, 2, 3), True),
    ],
)
def test_a_quorum_of_groups(present: tuple[int, ...], enough: bool) -> None:  # noqa: FBT001 - a table's column
    if enough:
        opened = policy(*GROUPS).open(cosigned(*present))
        assert opened.witnesses == tuple(f"W{i}" for i in present)
    else:
        with pytest.raises(Unreadable, match=r"lacks the witnesses that the policy wants \(Both\)"):
            policy(*GROUPS).open(cosigned(*present))


def test_a_quorum_of_one_witness_by_name() -> None:
    asked = policy(*witness_lines(), "quorum W1")
    assert asked.open(cosigned(1)).witnesses == ("W1",)
    with pytest.raises(Unreadable, match="lacks"):
        asked.open(cosigned(0))


def test_signature_lines_that_are_not_believed() -> None:
    asked = policy(*witness_lines(), "quorum none")
    stranger = Witness("stranger.example").cosign(TEXT.text())
    with pytest.raises(Unreadable, match=r"stranger\.example is of nobody whom the policy names"):
        asked.open((SIGNED + stranger).encode())
    with pytest.raises(Unreadable, match="of nobody whom the policy names"):  # one line, twice
        asked.open(cosigned(0, 0))
    with pytest.raises(Unreadable, match="does not hold"):
        asked.open((SIGNED + W[0].cosign(TEXT.text().replace("3", "4"))).encode())
    with pytest.raises(Unreadable, match="of nobody whom"):  # the right name and another key
        asked.open(OTHER_LOG.sign(TEXT).encode())
    text, _, lines = SIGNED.rpartition("\n\n")
    with pytest.raises(Unreadable, match="not signed by a log"):
        asked.open(f"{text}\n\n{W[0].cosign(TEXT.text())}".encode())
    assert lines


def test_a_cosignature_holds_with_its_own_time_only() -> None:
    asked = policy(*witness_lines(), "quorum W0")
    line = W[0].cosign(TEXT.text())
    data = bytearray(unbase64(line.split(" ")[2].strip()))
    data[11] ^= 1  # the last byte of the time
    with pytest.raises(Unreadable, match="does not hold"):
        asked.open(f"{SIGNED}— {W[0].name} {base64text(bytes(data))}\n".encode())


def test_a_cosignature_of_a_time_that_cannot_be_does_not_hold() -> None:
    """C2SP tlog-cosignature: a time is at most 2^63-1."""
    asked = policy(*witness_lines(), "quorum W0")
    for moment, holds in (((1 << 63) - 1, True), (1 << 63, False)):
        signature = W[0]._private.sign(f"cosignature/v1\ntime {moment}\n{TEXT.text()}".encode())
        data = VerifierKey.read(W[0].vkey).id + moment.to_bytes(8, "big") + signature
        note = f"{SIGNED}— {W[0].name} {base64text(data)}\n".encode()
        if holds:
            assert asked.open(note).witnesses == ("W0",)
        else:
            with pytest.raises(Unreadable, match="does not hold"):
                asked.open(note)


def test_a_log_of_one_name_does_not_speak_for_another() -> None:
    """Two logs in the policy: the note of the one, signed by the other, is not believed."""
    second = LogKey("second.example", Ed25519PrivateKey.generate())
    asked = policy(f"log {second.verifier}", "quorum none")
    text = TEXT.text()
    forged = second.sign(TEXT)
    assert forged.startswith(text)
    with pytest.raises(Unreadable, match="not signed by a log"):
        asked.open(forged.encode())


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "names a log and has one quorum line"),
        (["quorum none", "quorum none"], "Line 3"),
        (["quorum W0"], "W0 is not defined above"),
        ([*witness_lines(), *witness_lines(), "quorum none"], "stands in the policy already"),
        ([witness_lines()[0], f"witness W0 {W[1].vkey}", "quorum none"], "the name W0 is taken"),
        ([f"witness none {W[1].vkey}", "quorum none"], "the name none is taken"),
        ([*witness_lines(), "group G 0 W0 W1", "quorum G"], "at least one"),
        ([*witness_lines(), "group G 3 W0 W1", "quorum G"], "at most all"),
        ([*witness_lines(), "group G -1 W0 W1", "quorum G"], "any, all or a number"),
        ([*witness_lines(), "group G ² W0 W1", "quorum G"], "any, all or a number"),
        ([*witness_lines(), "group G any", "quorum G"], "is no log, witness, group"),
        ([*witness_lines(), "group G any W0 W0", "quorum G"], "a member of one group, once"),
        ([*witness_lines(), "group G any W0", "group H any W0", "quorum G"], "a member of one group, once"),
        ([*witness_lines(), "group G any W9", "quorum G"], "W9 is not defined above"),
        ([*witness_lines(), "group W0 any W1", "quorum W0"], "the name W0 is taken"),
        ([f"log {W[0].vkey}", "quorum none"], "another type"),
        ([f"witness W {OTHER_LOG.verifier}", "quorum none"], "another type"),
        ([f"witness W {VKEY[:-4]}", "quorum none"], "Line 2"),
        (["frog", "quorum none"], "Line 2"),
        (["quorum none\x07"], "control characters"),
    ],
)
def test_policies_that_are_refused(lines: list[str], why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        policy(*lines)


def test_a_policy_without_a_log_is_refused() -> None:
    with pytest.raises(Unreadable, match="names a log"):
        policy(*witness_lines(), "quorum W0", log="# no log")


@pytest.mark.parametrize(
    "line",
    [
        f"group G {'9' * 5000} W0".encode(),
        b"log caf\xe9+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        b"witness W caf\xe9+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
    ids=["a number of 5,000 digits", "a log's name not in UTF-8", "a witness's name not in UTF-8"],
)
def test_no_policy_makes_the_reader_crash(line: bytes) -> None:
    data = "\n".join([f"log {LOG.verifier}", *witness_lines(), ""]).encode() + line + b"\nquorum none\n"
    with pytest.raises(Unreadable):
        Policy.read(data)


def test_comments_tabs_and_empty_lines_mean_nothing() -> None:
    data = f"# caf\xe9\n\n  log\t{LOG.verifier}   https://log.example/\n\t# more\nquorum\tnone".encode(
        "latin-1"
    )
    assert Policy.read(data).open(SIGNED.encode()).checkpoint == TEXT


# --------------------------------------------------------------------------------------------------- keys

RFC6979_KEY = SigningKey(
    derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, SECP256R1())
)
SAMPLE = (
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,  # the higher s
)
TEST = (
    0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
    0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,  # the lower s
)
"""RFC 6979, appendix A.2.5, SHA-256."""


def test_the_signatures_of_rfc_6979_with_the_lower_s() -> None:
    assert decode_dss_signature(RFC6979_KEY.sign(b"sample")) == (SAMPLE[0], ORDER - SAMPLE[1])
    assert decode_dss_signature(RFC6979_KEY.sign(b"test")) == TEST


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("r_s", [SAMPLE, TEST])
def test_every_form_of_a_signature_becomes_the_same(r_s: tuple[int, int]) -> None:
    r, s = r_s
    message = b"sample" if r_s is SAMPLE else b"test"
    forms = (raw(r, s), raw(r, ORDER - s), encode_dss_signature(r, s), encode_dss_signature(r, ORDER - s))
    spellings = {one_spelling(form) for form in forms}
    assert spellings == {RFC6979_KEY.sign(message)}
    (stored,) = spellings
    assert one_spelling(stored) == stored
    assert RFC6979_KEY.public.verifies(stored, message)
    for form in set(forms) - spellings:
        assert not RFC6979_KEY.public.verifies(form, message), "a second spelling holds"


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        raw(0, 1),
        raw(1, 0),
        raw(ORDER, 1),
        raw(1, ORDER),
        raw(1, 1)[:-1],
        raw(1, 1) + b"\0",
        encode_dss_signature(1, 1) + b"\0",
        encode_dss_signature(1, 1)[:-1],
        encode_dss_signature(0, 1),
        encode_dss_signature(1, ORDER),
        encode_dss_signature(2**300, 1),
        bytes.fromhex("3007020200010201" + "01"),  # a leading zero too many
        bytes.fromhex("300602018102" + "0101"),  # a negative r
        bytes.fromhex("30810602010102" + "0101"),  # a longer form of the length
    ],
)
def test_what_is_no_signature(signature: bytes) -> None:
    with pytest.raises(Unreadable, match="not an ECDSA signature"):
        one_spelling(signature)
    assert not RFC6979_KEY.public.verifies(signature, b"sample")


def test_a_public_key_has_one_spelling_and_its_id_is_the_hash_of_it() -> None:
    spki = RFC6979_KEY.public.spki
    assert public_key(spki).id == hashlib.sha256(unbase64(spki)).hexdigest()
    private = derive_private_key(5, SECP256R1()).public_key()
    numbers = private.public_numbers()
    compressed = private.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    header = unbase64(spki)[:26]
    for der in (
        b"\x30\x39" + header[2:23] + b"\x03\x22\x00" + compressed,
        header + b"\x00\x04" + bytes(64),  # not on the curve
        unbase64(spki) + b"\0",
        unbase64(spki)[:-1],
        ec.derive_private_key(5, ec.SECP256K1())
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        b"",
    ):
        with pytest.raises(Unreadable):
            public_key(base64text(der))
    assert numbers.x


@settings(max_examples=60)
@given(st.integers(0, 90), st.integers(1, 255))
def test_no_public_key_makes_the_reader_crash(at: int, change: int) -> None:
    """Whoever enrols a device sends this: every byte of it is a stranger's."""
    der = bytearray(unbase64(RFC6979_KEY.public.spki))
    der[at] ^= change
    with pytest.raises(Unreadable):
        public_key(base64text(bytes(der)))


@pytest.mark.parametrize("at", [8, 19])
def test_an_unknown_algorithm_or_curve_is_unreadable(at: int) -> None:
    der = bytearray(unbase64(RFC6979_KEY.public.spki))
    der[at] ^= 1
    with pytest.raises(Unreadable):
        public_key(base64text(bytes(der)))


# ----------------------------------------------------------------------------------------------- envelopes


def test_the_signature_of_dsse_protocol_md() -> None:
    """Its example key and signature, over its own PAE."""
    numbers = EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        SECP256R1(),
    )
    der = numbers.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signature = unbase64(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    signed = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert public_key(base64text(der)).verifies(one_spelling(signature), signed)


def test_the_pre_authentication_encoding() -> None:
    assert pae(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
    assert pae(b"") == b"DSSEv1 28 application/vnd.in-toto+json 0 "
    assert event_id(b"{}") == hashlib.sha256(b"DSSEv1 28 application/vnd.in-toto+json 2 {}").hexdigest()


A, B = (Signature(hashlib.sha256(n).hexdigest(), RFC6979_KEY.sign(n)) for n in (b"a", b"b"))
ONE = Envelope(b'{"x":1}', (A, B))


def test_an_envelope_has_one_spelling() -> None:
    leaf = ONE.leaf()
    value = json.loads(leaf)
    assert Envelope.read(leaf) == ONE
    signatures = value["signatures"]
    turned = [{"sig": s["sig"], "keyid": s["keyid"]} for s in signatures]
    urlsafe = [{**s, "sig": s["sig"].replace("+", "-").replace("/", "_")} for s in signatures]
    assert urlsafe != signatures, "the example must have a character that is spelled differently"
    others = (
        {**value, "more": 1},
        {**value, "signatures": [{**signatures[0], "more": 1}, signatures[1]]},
        {**value, "signatures": turned},
        {**value, "signatures": urlsafe},
        {**value, "signatures": [*signatures, signatures[0]]},
        {**value, "signatures": []},
        {**value, "payloadType": "application/json"},
        {**value, "payload": value["payload"].rstrip("=")},
        dict(reversed(value.items())),
        [value],
    )
    for other in (
        *(json_bytes(other) for other in others),
        leaf + b"\n",
        b" " + leaf,
        leaf.replace(b",", b", ", 1),
        leaf.replace(b'"payload":', b'"payload":"","payload":', 1),
        leaf.replace(b"payload", b"p\\u0061yload", 1),
        leaf[:-1],
        json.dumps(value, indent=1).encode(),
    ):
        assert other != leaf
        with pytest.raises(Unreadable):
            Envelope.read(other)


def test_an_envelope_with_a_signature_in_another_form_is_not_verified_as_it_stands() -> None:
    """`Envelope.read` takes any bytes for a signature; only DER with the lower s ever verifies."""
    high = encode_dss_signature(SAMPLE[0], SAMPLE[1])
    for form in (high, raw(*SAMPLE)):
        assert not RFC6979_KEY.public.verifies(form, b"sample")
        assert RFC6979_KEY.public.verifies(one_spelling(form), b"sample")


def test_the_longest_envelope() -> None:
    payload = bytes(ENVELOPE_MOST // 4 * 3)
    room = ENVELOPE_MOST - (len(Envelope(payload, (A,)).leaf()) - ENVELOPE_MOST)
    fits = Envelope(bytes(room // 4 * 3), (A,))
    assert len(fits.leaf()) <= ENVELOPE_MOST
    assert Envelope.read(fits.leaf()) == fits
    with pytest.raises(Unreadable, match="bytes at most"):
        Envelope.read(Envelope(bytes(room // 4 * 3 + 3), (A,)).leaf())


def test_signing_is_sha_256_over_the_message() -> None:
    """A judge that we did not write: the library's own verification, over the message as it is."""
    key = serialization.load_der_public_key(unbase64(RFC6979_KEY.public.spki))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(RFC6979_KEY.sign(pae(b"{}")), pae(b"{}"), ec.ECDSA(hashes.SHA256()))


# -------------------------------------------------------------------------------------------- keys in files


def pem(private: ec.EllipticCurvePrivateKey | Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption(),
    )


P_256, P_384 = ec.generate_private_key(SECP256R1()), ec.generate_private_key(ec.SECP384R1())
EDWARDS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = P_256.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def test_a_key_comes_back_from_its_file_and_from_what_webcrypto_imports() -> None:
    key = SigningKey(P_256)
    assert key.pem() == pem(P_256)
    assert SigningKey.from_pem(key.pem()).public.id == key.public.id
    same = serialization.load_der_private_key(key.pkcs8(), None)
    assert isinstance(same, ec.EllipticCurvePrivateKey)
    assert same.private_numbers() == P_256.private_numbers()
    assert LOG.pem() == pem(EDWARDS)
    assert str(LogKey.from_pem("test.example/log", LOG.pem()).verifier) == str(LOG.verifier)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no private key that can be read"),
        (b"frog", "no private key that can be read"),
        (pem(P_256)[:-40], "no private key that can be read"),
        (pem(P_256, b"secret"), "no private key that can be read"),
        (PUBLIC, "no private key that can be read"),
    ],
)
def test_a_file_that_holds_no_private_key(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        SigningKey.from_pem(data)
    with pytest.raises(Unreadable, match=why):
        LogKey.from_pem("test.example/log", data)


def test_a_key_of_another_kind_is_not_taken() -> None:
    with pytest.raises(Unreadable, match="This file holds no P-256 key"):
        SigningKey.from_pem(pem(EDWARDS))
    with pytest.raises(Unreadable, match="Only keys on the curve P-256"):
        SigningKey.from_pem(pem(P_384))
    with pytest.raises(Unreadable, match="This file holds no Ed25519 key"):
        LogKey.from_pem("test.example/log", pem(P_256))


# ------------------------------------------------------------------------------------------- how long it is


def test_a_bundle_tells_the_truth_about_its_checksums() -> None:
    """A lie that stands in both places where one does: what was unpacked would not be what was judged."""
    note = LOG.sign(Checkpoint(LOG.verifier.name, 0, Frontier().root())).encode()
    out = io.BytesIO()
    bundle.write(out, [("checkpoint", note)])
    assert list(bundle.read(io.BytesIO(out.getvalue())))
    true = zlib.crc32(note).to_bytes(4, "little")
    assert out.getvalue().count(true) == 2
    with pytest.raises(Unreadable, match="own checksum"):
        list(bundle.read(io.BytesIO(out.getvalue().replace(true, bytes(4)))))


def test_a_bundle_ends_where_its_format_does() -> None:
    out = io.BytesIO()
    bundle.write(out, (("a", b"") for _ in range(bundle.MEMBERS_MOST)))
    assert out.getvalue()[-22:-10] == b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff"
    with pytest.raises(
        Unreadable, match=r"too long for one bundle. Export its tiles, and audit their folder"
    ):
        bundle.write(io.BytesIO(), (("a", b"") for _ in range(bundle.MEMBERS_MOST + 1)))


def test_a_checkpoint_that_no_bundle_can_hold_is_refused_before_anything_is_read() -> None:
    note = LOG.sign(Checkpoint(LOG.verifier.name, bundle.ENTRIES_MOST + 1, bytes(32))).encode()
    out = io.BytesIO()
    bundle.write(out, [("checkpoint", note)])
    members = bundle.read(io.BytesIO(out.getvalue()))
    assert next(members) == ("checkpoint", note)
    with pytest.raises(Unreadable, match="at most 8,000,000 entries; this checkpoint says 8,000,001"):
        next(members)
