"""What cannot stand on a label, as one tree; each of these is told to whoever asked, word for word.

Unfit               what was asked of a label cannot be; the sentence says why and what to do
├── NotAnId         the text is no id of a label
├── NotAVolser      the text is no volser
├── UnusableHost    the host cannot stand on a label
└── Unprintable     this cannot be printed as asked
"""


class Unfit(ValueError):  # noqa: N818 - what the text or the wish is, not an error of the program
    """What was asked of a label cannot be. `str(unfit)` is a sentence to be shown as it is."""
