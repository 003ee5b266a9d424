"""A courier sends in a photograph: what it shows of their consignment, and nothing about anybody else's."""

from __future__ import annotations

import io
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from custody.rules.media import Medium
from labels import identity
from labels.sheet import STOCKS, Label, sheet


def photograph(box: Any, names: tuple[str, ...]) -> bytes:
    """The printed sheet with these labels, as a scanner at 200 dpi sees it."""
    things = [box.get(Medium, name) for name in names]
    labels = [Label(t.id, identity.url("LABELS.TEST", "M", t.id), (t.volser or "",)) for t in things]
    (page,) = pypdfium2.PdfDocument(sheet(labels, STOCKS["L7160"]))
    out = io.BytesIO()
    page.render(scale=200 / 72, grayscale=True).to_pil().save(out, "JPEG")
    return out.getvalue()


def send(office: Any, name: str, to: str, data: bytes, *, scripted: bool = False) -> Any:
    return upload(office, name, f"/scan/{to}", "photograph", data, scripted=scripted)


def upload(office: Any, name: str, address: str, field: str, data: bytes, *, scripted: bool = False) -> Any:
    """A form with a file as its bytes: the client would spool a large one to a file that it never closes."""
    client = office.as_(name)
    head = f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="x.bin"\r\n\r\n'
    headers = {"X-CSRFToken": office.token(client), **({"X-Custody-Script": "1"} if scripted else {})}
    body = head.encode() + data + b"\r\n--edge--\r\n"
    return client.post(address, data=body, content_type="multipart/form-data; boundary=edge", headers=headers)


def test_a_courier_sees_which_lines_a_photograph_shows(office: Any) -> None:
    name = office.world.dispatch(4)
    media = office.world.consignment(name).media
    stray = office.world.register(5)[4]
    shown = send(office, "carl", name, photograph(office.world, (*media[:3], stray)))
    text = shown.get_data(as_text=True)
    assert shown.status_code == 200
    assert "3 of 4 lines read" in text
    assert f"{stray[:4]} {stray[4:8]}" in text
    assert "Not on this manifest" in text


def test_a_script_gets_the_lines_and_no_other_field(office: Any) -> None:
    name = office.world.dispatch(2)
    answer = send(
        office, "carl", name, photograph(office.world, office.world.consignment(name).media), scripted=True
    )
    assert answer.get_json() == {"lines": [1, 2], "case": False, "seal": False, "unsure": [], "strange": []}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "Choose or take a photograph."),
        (b"%PDF-1.7 not a picture", "This file is no picture that can be read here"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40, "Apple&#39;s HEIC format"),
    ],
)
def test_what_is_no_photograph_gets_a_sentence(office: Any, data: bytes, sentence: str) -> None:
    answer = send(office, "carl", office.world.dispatch(1), data)
    assert answer.status_code == 422
    assert sentence in answer.get_data(as_text=True)


def test_a_consignment_that_is_not_there_and_one_who_hands_nothing_over(office: Any) -> None:
    office.world.dispatch(1)
    assert send(office, "carl", "C-99", b"x").status_code == 404
    assert send(office, "olga", "C-1", b"x").status_code == 403, "an auditor hands nothing over"


def test_a_photograph_may_be_large_and_a_form_may_not(office: Any) -> None:
    name = office.world.dispatch(1)
    large = send(office, "carl", name, b"\xff\xd8" + b"\x00" * (15 << 20))
    assert large.status_code == 422
    assert send(office, "carl", name, b"\x00" * (17 << 20)).status_code == 413
    listing = upload(office, "ada", "/media/register", "listing", b"\x00" * (5 << 20))
    assert listing.status_code == 413


def test_a_picture_that_takes_too_much_costs_itself_alone(office: Any) -> None:
    name = office.world.dispatch(1)
    bomb = io.BytesIO()
    Image.new("RGB", (7_000, 7_000)).save(bomb, "WEBP")
    answer = send(office, "carl", name, bomb.getvalue(), scripted=True)
    assert answer.status_code == 422
    assert "takes too much memory" in answer.get_json()["refusal"]
    photo = photograph(office.world, office.world.consignment(name).media)
    assert send(office, "carl", name, photo, scripted=True).get_json()["lines"] == [1]


def test_the_page_of_a_hand_off_offers_it(office: Any) -> None:
    name = office.world.request(1)
    office.world.approve(name)
    text = office.as_("carl").get(f"/sign/taking/{name}").get_data(as_text=True)
    assert f'data-photograph="/scan/{name}"' in text
