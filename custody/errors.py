"""What can go wrong in the world, as one tree.

    Refusal                  what was asked for may not be; the sentence says why and what to do
    ├── Unreadable           bytes that are not what they should be: a listing, a statement, a photograph
    ├── Forbidden            this person may not do this
    ├── NotFound             there is nothing of that name
    ├── Conflict             it could be done, but not in the state in which things now are
    ├── Impossible           a fact that cannot follow the facts before it
    │   └── Backwards        time, or what a device has seen, would run backwards
    ├── Forged               a signature that does not hold, or of a key that is not enrolled
    ├── NoRoom               the disk is full: the act is refused, nothing of it was written
    └── Away                 the database does not answer now: try again, and look first
    Undelivered              a channel could not reach a person; `permanent` says whether to try again
    Untrusted                the book itself cannot be trusted or written any more: stop, and say so

A `Refusal` is shown to the person who asked, word for word; so is what `labels` raises, which knows nothing
of this tree (`labels.unfit.Unfit`). `Undelivered` is the monitor's business. `Untrusted` ends the process.
Anything else is a mistake in the program: it crashes and is reported.
"""


class Refusal(Exception):  # noqa: N818 - it is what the person is told, not an error of the program
    """What was asked for may not be. `str(refusal)` is a sentence to be shown as it is."""


class Unreadable(Refusal):
    """Bytes that are not what they should be. Nothing of them was taken in."""


class Forbidden(Refusal):
    """This person may not do this, here or now."""


class NotFound(Refusal):
    """There is nothing of that name, or nothing that this person may see."""


class Conflict(Refusal):
    """It could be done, but not in the state in which things now are."""


class Impossible(Refusal):
    """A fact that cannot follow the facts before it: an invariant, the same for server and auditor."""


class Backwards(Impossible):
    """Time, or what a device has seen of the log, would run backwards: history was rewritten somewhere."""


class Forged(Refusal):
    """A signature does not hold, or is of a key that is not enrolled."""


class NoRoom(Refusal):
    """The disk is full. The act is refused and nothing of it was written; the book stays whole."""


class Away(Refusal):
    """The database does not answer now. What was asked for may be recorded or not; the book stays whole."""


class Undelivered(Exception):  # noqa: N818 - an outcome of sending, handled by the one who sends
    """A message that a channel could not hand over.

    `permanent` is True where the receiving side said that it never will take it for this recipient (550,
    404, 410); the attempts on it go on all the same, and are seldom. `silent` is True where nobody answered
    at all: what comes after it on the same channel would fare no better now.
    """

    def __init__(self, answer: str, *, permanent: bool = False, silent: bool = False) -> None:
        super().__init__(answer)
        self.permanent = permanent
        self.silent = silent


class Untrusted(Exception):  # noqa: N818 - a state of the book, not of the program
    """The book cannot be trusted or written any more. The message says what was seen and the way back."""
