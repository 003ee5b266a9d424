"""What a text says without what is drawn in it: three letters are a piece of some hash in one run of many."""

import re

_DRAWN = re.compile(
    r"""
      (?<![\w+/]) [0-9A-Za-z+/]{43,} =*        # a root, a key, a signature: base64
    | \b [0-9a-f]{8,} \b                       # a hash, whole or the beginning of one
    | \b (?:[0-9A-HJKMNP-TV-Z]{4}[ -]?){4} \b  # an identity, in groups or not
    """,
    re.VERBOSE | re.IGNORECASE,
)


def prose(text: str) -> str:
    """The words alone, each broken line of a hash taken out with the rest of it."""
    return _DRAWN.sub(" ", re.sub(r"(?<=[0-9a-f]{8})\s+(?=[0-9a-f]{8})", "", text))
