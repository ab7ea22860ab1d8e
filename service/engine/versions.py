"""What a version of a model may be: the one rule for folders, queries and paths."""

import re

HIGHEST = 10**18 - 1  # fits into 64 bits, as JSON's and protobuf's readers need, and its text is short
EXPECTED = f"an integer from 1 to {HIGHEST} without leading zeros"
TEXT = re.compile(r"[1-9][0-9]{0,17}")


def parse_version(text: str) -> int | None:
    """The version that a text names, or None if it names none.

    >>> parse_version("7"), parse_version("007"), parse_version("9" * 18), parse_version("9" * 19)
    (7, None, 999999999999999999, None)
    """
    return int(text) if TEXT.fullmatch(text) else None
