"""An id survives the way through people's eyes and fingers, or is refused."""

from collections.abc import Callable
from secrets import token_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from labels import identity
from labels.identity import NotAnId, UnusableHost

HOST = "labels.example.org"
DIGITS = str.maketrans(identity.ALPHABET, "0123456789ABCDEFGHIJKLMNOPQRSTUV")


def with_check(body: str) -> str:
    """Python's own reading of base 32, so that our arithmetic does not judge itself."""
    return body + "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U"[int(body.translate(DIGITS), 32) % 37]


ids = (
    st.text(identity.ALPHABET, min_size=15, max_size=15)
    .map(with_check)
    .filter(lambda whole: whole[-1] in identity.ALPHABET)
)


def spoken_bytes(*bodies: str) -> Callable[[int], bytes]:
    """Stands for randomness that happens to give these bodies of ids, one after the other."""
    rest = iter(bodies)
    return lambda _: bytes(identity.ALPHABET.index(c) for c in next(rest))


def test_check_character_is_crockfords() -> None:
    # His own example: 1234 is written 16J, and its check symbol is D, since 1234 = 33 x 37 + 13.
    assert identity.draw(spoken_bytes("00000000000016J")) == "00000000000016JD"


@pytest.mark.parametrize("number", range(32, 37))
def test_an_id_that_would_end_in_an_odd_symbol_is_drawn_again(number: int) -> None:
    odd = "0" * 13 + identity.ALPHABET[number // 32] + identity.ALPHABET[number % 32]
    assert identity.draw(spoken_bytes(odd, "00000000000016J")) == "00000000000016JD"


def test_too_little_randomness_crashes() -> None:
    with pytest.raises(AssertionError, match="too few"):
        identity.draw(lambda _: b"short")


@given(ids)
def test_what_was_drawn_is_an_id(right: str) -> None:
    assert identity.draw(spoken_bytes(right[:-1])) == right
    assert identity.check(right) == right


def test_every_character_of_the_alphabet_is_drawn_in_every_place() -> None:
    drawn = [identity.draw(token_bytes) for _ in range(1000)]
    assert all(set(place) == set(identity.ALPHABET) for place in zip(*drawn, strict=True))


@given(ids, st.integers(0, 15), st.sampled_from(identity.ALPHABET))
def test_one_wrong_character_is_noticed(right: str, place: int, other: str) -> None:
    assume(right[place] != other)
    with pytest.raises(NotAnId, match="wrong character"):
        identity.check(right[:place] + other + right[place + 1 :])


@given(ids, st.integers(0, 14))
def test_two_neighbours_changed_about_are_noticed(right: str, place: int) -> None:
    one, two = right[place], right[place + 1]
    assume(one != two)
    with pytest.raises(NotAnId, match="wrong character"):
        identity.check(right[:place] + two + one + right[place + 2 :])


@given(ids, st.data())
def test_what_people_type_for_an_id_is_put_right(right: str, data: st.DataObject) -> None:
    typed = "".join(
        data.draw(st.sampled_from({"0": "0oO", "1": "1iIlL"}.get(c, c + c.lower() + chr(ord(c) + 0xFEE0))))
        + data.draw(st.sampled_from(["", "", "", "-", " ", "\u2013", "\u00a0", "\u3000", "\t"]))
        for c in right
    )
    assert identity.check(typed) == right


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "this one has 0"),
        ("00000000000016J", "this one has 15"),
        ("00000000000016JD0", "this one has 17"),
        ("00000000000016JD" + " " * 100 + "more", "far longer"),
        ("0000000000U016JD", "never U; this one has 'U'"),
        ("0000000000*016JD", r"has '\*'"),
        ("0000000000香016JD", "has '香'"),
    ],
)
def test_what_is_no_id_is_refused_with_the_reason(typed: str, why: str) -> None:
    with pytest.raises(NotAnId, match=why):
        identity.check(typed)


@given(st.text(max_size=70))
def test_no_text_does_worse_than_be_refused(text: str) -> None:
    try:
        found = identity.check(text)
    except NotAnId:
        return
    assert identity.check(found) == found


@given(ids, st.sampled_from("MCSL"), st.sampled_from([str.upper, str.lower, str]))
def test_an_address_is_read_in_either_case(drawn: str, letter: str, case: Callable[[str], str]) -> None:
    address = identity.url(HOST, letter, drawn)
    assert address == f"https://LABELS.EXAMPLE.ORG/{letter}/{drawn}"
    assert identity.read(case(address) + "\r\n") == (letter, drawn)
    assert identity.read(case(address) + "/") == (letter, drawn)


def test_an_address_begins_in_small_letters_where_the_code_has_room() -> None:
    host = "custody.example-bank.gov.hks"
    address = identity.url(host, "M", "00000000000016JD")
    assert (len(host), address) == (28, f"https://{host.upper()}/M/00000000000016JD")
    assert identity.judge_host(host) == ""
    longer = "x" + host
    assert identity.url(longer, "M", "00000000000016JD") == f"HTTPS://{longer.upper()}/M/00000000000016JD"
    assert "has 29 characters. With 28 or fewer the codes begin with https://" in identity.judge_host(longer)


def test_the_longest_host_fills_the_code_and_is_read() -> None:
    host = "custody-labels.example-bank.gov.hk"
    address = identity.url(host, "M", "00000000000016JD")
    assert (len(host), len(address)) == (34, 61)
    assert identity.read(address) == ("M", "00000000000016JD")
    with pytest.raises(UnusableHost, match=r"has 35 characters .* room for 34\. Choose a shorter"):
        identity.url("x" + host, "M", "00000000000016JD")


@pytest.mark.parametrize(
    "host", ["labels.example.org", "LABELS.EXAMPLE.ORG:8443", "localhost", "xn--fiqs8s.example"]
)
def test_hosts_that_may_be_printed(host: str) -> None:
    address = identity.url(host, "C", "00000000000016JD")
    assert address == f"https://{host.upper()}/C/00000000000016JD"
    assert identity.read(address) == ("C", "00000000000016JD")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        *(
            (host, "is not a host name: it may have")
            for host in ("", "a b", "a_b.example", "-a.example", "a..b")
        ),
        *((host, "is not a host name: it may have") for host in ("a:port", "a\n", "a.", "http://u@x/")),
        ("https://a.example", "is an address; give the host in it alone: a.example."),
        ("HTTPS://A.example:8443/m/?x#y", "is an address; give the host in it alone: a.example:8443."),
        ("//a.example/", "is an address; give the host in it alone: a.example."),
        ("a.example/", "is an address; give the host in it alone: a.example."),
        ("香港.example", "is an international name; give it in .* xn--: xn--j6w193g.example."),
        ("straße.de", "is an international name; give it in the form that begins with xn--.$"),
        ("\u200b.example", "is an international name; give it in the form that begins with xn--.$"),
    ],
)
def test_hosts_that_may_not(host: str, why: str) -> None:
    for judge in (identity.judge_host, lambda host: identity.url(host, "M", "00000000000016JD")):
        with pytest.raises(UnusableHost, match=why):
            judge(host)


@given(st.text(max_size=45) | st.from_regex(r"(https?://)?[a-z0-9.-]{1,40}(:[0-9]+)?(/.*)?", fullmatch=True))
def test_any_host_is_printed_and_read_or_refused_with_a_sentence(host: str) -> None:
    try:
        address = identity.url(host, "M", "00000000000016JD")
    except UnusableHost:
        return
    assert identity.is_printable(address)
    assert identity.read(address) == ("M", "00000000000016JD")


def test_a_wrong_id_gets_no_address() -> None:
    with pytest.raises(NotAnId):
        identity.url(HOST, "M", "00000000000016JE")


@pytest.mark.parametrize("letter", ["", "X", "m", "MC"])
def test_a_letter_that_we_do_not_use_is_the_programs_mistake(letter: str) -> None:
    with pytest.raises(AssertionError):
        identity.url(HOST, letter, "00000000000016JD")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00000000000016JD",
        "http://labels.example.org/M/00000000000016JD",
        "https://labels.example.org/X/00000000000016JD",
        "https://labels.example.org/M/00000000000016JE",
        "https://labels.example.org/M/00000000000016JD/more",
        "https://labels.example.org/M/00000000000016JD?a=b",
        "https://labels.example.org/M/0000-0000-0000-16JD",
        "https://user@labels.example.org/M/00000000000016JD",
        "https://labels.example.org/en/M/00000000000016JD",
        f"https://{'x' * 35}/M/00000000000016JD",
    ],
)
def test_other_codes_are_not_taken_for_ours(text: str) -> None:
    assert identity.read(text) is None


@given(st.text() | st.from_regex(r"HTTPS://[A-Z.]+/[A-Z]/[0-9A-Z]{16}", fullmatch=True))
def test_no_code_does_worse_than_not_be_ours(text: str) -> None:
    found = identity.read(text)
    assert found is None or identity.check(found[1]) == found[1]
