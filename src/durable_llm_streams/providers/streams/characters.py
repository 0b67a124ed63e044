r"""Characters that a provider cut in two JSON escapes, such as `\ud83d` and `\ude00`. No I/O.

They are joined if both halves come, in one piece of a text or in two. A half without the other
becomes U+FFFD. A first half at the end of a piece is held until the next piece or the end.
"""

from __future__ import annotations

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF_LAST = re.compile("[\ud800-\udbff]\\Z")


def clean(text: str) -> str:
    """The text with its surrogate pairs joined, and U+FFFD for lone halves."""
    if _HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cleaned(value: Any) -> Any:
    """`clean` for every text of a JSON value."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): cleaned(item) for key, item in value.items()}
    return value


class Characters:
    """Joins the characters of one text that comes in pieces.

    Attributes:
        held: the first half of a character; "" for none.
    """

    def __init__(self) -> None:
        self.held = ""

    def join(self, piece: str) -> str:
        """The text with all characters that are complete now."""
        text, self.held = self.held + piece, ""
        if _FIRST_HALF_LAST.search(text) is not None:
            text, self.held = text[:-1], text[-1]
        return clean(text)

    def end(self) -> str:
        """What is left at the end of the text."""
        held, self.held = self.held, ""
        return clean(held)
