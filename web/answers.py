"""How every answer leaves: with its security headers, and where something was refused, with the sentence.

A `Refusal` is shown word for word with a fitting status. Anything else that goes wrong is a mistake in the
program: the person gets a plain page with a reference, the log gets the rest.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import structlog
from flask import Flask, Response, g, render_template, request
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from custody.errors import (
    Away,
    Conflict,
    Forbidden,
    Forged,
    Impossible,
    NoRoom,
    NotFound,
    Refusal,
    Unreadable,
    Untrusted,
)
from custody.outside import cleaned
from labels.unfit import Unfit
from web.room import reply, settings

log = structlog.get_logger("web")

STATUS: Final[tuple[tuple[type[Refusal], int], ...]] = (
    (Unreadable, 422),
    (Forbidden, 403),
    (Forged, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Impossible, 409),
    (NoRoom, 507),
    (Away, 503),
)
PLAIN: Final = {
    400: "The page was sent too long after it was opened, or not by it. Load it again, and repeat the step.",
    401: "You are not signed in. Sign in, and repeat the step.",
    403: "This is not open to you.",
    404: "There is no such page here.",
    405: "This cannot be done so.",
    413: "This file is too large.",
    429: "Too many attempts from your address. Wait a minute, and try again.",
}


KEPT: Final = ("static", "bootstrap.static", "log.hashes", "log.entries")
"""What a browser or a mirror may keep, as the view says for how long; everything else is kept nowhere."""


SENTENCE_MOST: Final = 5000
"""Characters of a refusal: one that lists lines of a table is long."""


class Refused(BaseModel):
    """What a script is told when something was refused."""

    refusal: str


class Onward(BaseModel):
    """Where a form that stayed on its page goes now."""

    to: str


def prepare(app: Flask) -> None:
    """Registers the headers and the refusals."""
    app.before_request(_draw_nonce)
    app.after_request(_onward)
    app.after_request(_dress)
    app.register_error_handler(Refusal, _refuse)
    app.register_error_handler(Untrusted, _distrust)
    app.register_error_handler(Unfit, _unfit)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _broken)


def _draw_nonce() -> None:
    g.nonce = secrets.token_urlsafe(16)


def _dress(response: Response) -> Response:
    """Scripts of ours alone, by nonce; no inline style; nothing from elsewhere; nobody frames us."""
    script = f"'nonce-{g.nonce}'" if "nonce" in g else "'none'"
    response.headers.update(
        {
            "Content-Security-Policy": (
                f"default-src 'none'; script-src {script}; style-src 'self'; img-src 'self' data:;"
                " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
                " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types board"
            ),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }
    )
    if settings().secure_cookies:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.endpoint not in KEPT or "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _onward(response: Response) -> Response:
    """A form that a script sends in the background learns where to go, and does not go there itself."""
    if _scripted() and 300 <= response.status_code < 400:
        return reply(Onward(to=response.headers["Location"]))
    return response


def _scripted() -> bool:
    return request.headers.get("X-Custody-Script") == "1"


def _answer(sentence: str, status: int) -> Any:
    if _scripted():
        return reply(Refused(refusal=sentence), status)
    return render_template("refused.html", sentence=sentence, status=status), status


def _refuse(refusal: Refusal) -> Any:
    status = next((code for kind, code in STATUS if isinstance(refusal, kind)), 409)
    return _answer(cleaned(str(refusal), SENTENCE_MOST, lines=True), status)


def _distrust(problem: Untrusted) -> Any:
    """The book cannot be trusted or written: this process answers once more, and ends."""
    log.critical("the book cannot be trusted", path=request.path, why=str(problem))
    if (stop := settings().stop) is not None:
        stop()
    return _answer(f"The book cannot be used now: {problem}", 503)


def _unfit(problem: Unfit) -> Any:
    return _answer(str(problem), 422)


def _http(problem: HTTPException) -> Any:
    code = problem.code or 500
    if code >= 500:
        return _broken(problem)
    if isinstance(problem.response, AnyResponse) or code < 400:
        return problem.get_response()
    return _answer(PLAIN.get(code, "This could not be done."), code)


def _broken(problem: Exception) -> Any:
    reference = secrets.token_hex(4).upper()
    log.error("a request broke", reference=reference, path=request.path, exc_info=problem)
    sentence = (
        "Something is broken here, and nothing of this step was recorded. "
        f"Tell your administrator this reference: {reference}."
    )
    return _answer(sentence, 500)
