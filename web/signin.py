"""Signing in, by invitation only.

Flask-Security checks passwords (argon2id), keeps the session and ends it; all its other routes are off, and
its accounts are `custody.store.accounts`. There is no registration and no default account: a one-time link
opens a page that changes nothing, since mail scanners open links too, and its button lets the holder choose
a password. In a demo's book, and in no other, a link may also sign in without one.

A second factor has its place here: `SECURITY_TWO_FACTOR` and the columns that it wants.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Flask, flash, g, redirect, render_template, request, session, url_for
from flask_login import user_logged_in, user_logged_out
from flask_security import RoleMixin, Security, UserDatastore, UserMixin
from flask_security.forms import LoginForm
from flask_security.proxies import _security
from flask_security.utils import hash_password, login_user

from custody.errors import Unreadable
from custody.store import accounts
from custody.store.accounts import Account
from custody.store.book import Book
from web.limits import limiter, source
from web.room import book

blueprint = Blueprint("signin", __name__)

SIGNED_IN_FOR: Final = 7 * 24 * 3600
"""Seconds after which a session ends however much it is used: a stolen cookie does not last for ever."""
_WHO: Final = {"_user_id", "_fresh", "_id"}
"""What Flask-Login keeps of a session: whose it is."""
FAILED: Final = (
    "Signing in failed. Check address and password; after ten wrong ones, wait a quarter of an hour. "
    "If you have no password yet, use the link of your invitation."
)


class User(UserMixin):
    """An account as Flask-Security wants to see it. A password is all that it has to prove itself with."""

    fs_uniquifier = ""

    def __init__(self, account: Account) -> None:
        self.person = account.person
        self.name = account.name
        self.roles = []
        self.email = account.address
        self.password = account.password
        self.fs_uniquifier = account.session
        self.active = True

    def verify_auth_token(self, _tdata: Any) -> bool:
        """Never: a token in a header or an address would be a second way in, past a session's guards."""
        return False


class Accounts(UserDatastore):
    """`custody.store.accounts`, where Flask-Security looks for its users."""

    def __init__(self, of: Book) -> None:
        super().__init__(User, RoleMixin)
        self._book = of

    def find_user(self, case_insensitive: bool = False, **by: Any) -> User | None:  # noqa: FBT001, FBT002, ARG002 - theirs
        """The user of this address or of this session."""
        account = accounts.find(self._book, address=by.get("email"), session=by.get("fs_uniquifier"))
        return None if account is None else User(account)

    def put(self, user: User) -> User:
        """Called when a password was right and its hash is of an older making."""
        accounts.rehash(self._book, user.person, str(user.password))
        return user

    def commit(self) -> None:
        """Nothing waits: `put` has written."""


class SignInForm(LoginForm):
    """Address and password, behind the lock-out. Every failure has the same words."""

    remember = None

    def validate_next(self, field: Any) -> None:
        """An address that is none of ours is no reason to refuse the right password; it is not gone to."""
        field.data = _local(field.data or "")

    def validate(self, **more: Any) -> bool:
        """Whether this signs in."""
        address, here = _one_spelling(self.email.data or ""), source()
        locked = accounts.locked(book(), address, here)
        if not locked and super().validate(**more):
            return True
        if not locked:  # whoever goes on trying must not be able to keep the owner out
            accounts.note_wrong(book(), address, here)
        self.email.errors = self.password.errors = []  # else their generic sentence comes beside ours
        self.form_errors = [FAILED]
        return False


def _local(address: str) -> str:
    """The address if it is a path of ours, as a browser understands it; else none.

    Browsers take a backslash for a slash, drop tabs and line ends, and `//` begins another host's name.
    """
    local = address.startswith("/") and address[1:2] not in ("/", "\\")
    return address if local and address.isascii() and address.isprintable() else ""


def _one_spelling(address: str) -> str:
    """The address as Flask-Security will look for it: full-width letters would else count by themselves."""
    try:
        return str(_security._mail_util.normalize(address.strip())).lower()  # noqa: SLF001 - it has no other name
    except ValueError:
        return address.strip().lower()


def prepare(app: Flask) -> None:
    """Sets Flask-Security up for this application, and the page of one-time links."""
    app.config.update(
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106 - the name of a method
        SECURITY_PASSWORD_SINGLE_HASH=["argon2"],
        SECURITY_PASSWORD_SALT="unused-with-a-single-hash",  # noqa: S106 - argon2 salts each hash itself
        SECURITY_PASSWORD_LENGTH_MIN=12,
        SECURITY_PASSWORD_CHECK_BREACHED=None,
        SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False, "test_environment": True},
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_LOGOUT_METHODS=["POST"],
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_POST_LOGIN_VIEW="/",
        SECURITY_POST_LOGOUT_VIEW="/login",
        SECURITY_FLASH_MESSAGES=False,
    )
    security = Security(app, Accounts(book_of(app)), login_form=SignInForm)
    security.want_json(lambda _request: False)
    user_logged_in.connect(_began, app)
    user_logged_out.connect(_ended, app)
    views: dict[str, Any] = app.view_functions
    views["security.login"] = limiter.limit("30/minute", methods=["POST"])(_onward(views["security.login"]))
    app.register_blueprint(blueprint)


def _onward(view: Callable[[], Any]) -> Callable[[], Any]:
    """Flask-Security's view, and then on to where the person was going, if that is here."""

    @functools.wraps(view)
    def sign_in() -> Any:
        answer = view()
        if getattr(answer, "status_code", 200) == 302:
            return redirect(_local(request.values.get("next", "")) or url_for("board.home"))
        return answer

    return sign_in


def _began(_app: Flask, **_: Any) -> None:
    """Nothing of the session before is taken along: somebody else may have begun it, and know its token."""
    for name in session.keys() - _WHO:
        del session[name]
    g.pop("csrf_token", None)
    session["since"] = time.time()


def _ended(app: Flask, user: User, **_: Any) -> None:
    """Ends every session of this account: a cookie that was copied before must not outlive signing out."""
    session.clear()
    if isinstance(user, User):
        accounts.end_sessions(book_of(app), user.person)


def too_old() -> bool:
    """Whether this session began so long ago that its holder shows again who they are."""
    return time.time() - float(session.get("since", 0)) > SIGNED_IN_FOR


def book_of(app: Flask) -> Book:
    """The book that this application was made with."""
    found: Book = app.extensions["custody"].book
    return found


@blueprint.route("/begin/<token>", methods=["GET", "POST"])
@limiter.limit("30/minute")
def begin(token: str) -> Any:
    """A one-time link. Opening it shows a form; only sending the form uses it up."""
    link = accounts.open_link(book(), token)
    if request.method != "POST":
        account = accounts.find(book(), person=link.person)
        return render_template("begin.html", link=link, account=account)
    session.clear()  # of whoever was signed in here; not signing out, which would end their other sessions
    if link.purpose == "demo":
        account = accounts.enter(book(), token)
    else:
        account = accounts.begin(book(), token, hash_password(_password()))
    login_user(User(account), authn_via=["link"])
    flash("You are signed in.")
    return redirect(url_for("board.home" if link.purpose == "demo" else "devices.mine"))


def _password() -> str:
    """The password that was chosen, typed twice alike and not too short."""
    first, second = request.form.get("password", ""), request.form.get("again", "")
    if first != second:
        raise Unreadable("The two passwords differ. Type the same one twice.")
    if len(first) < 12 or len(set(first)) < 6:
        raise Unreadable("Choose a password of at least 12 characters; four unrelated words are a good one.")
    if len(first) > 256:
        raise Unreadable("This password is longer than 256 characters.")
    return first
