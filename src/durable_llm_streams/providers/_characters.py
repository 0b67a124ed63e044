r"""Characters that a provider cut in two: joined where both halves come, U+FFFD where not. No I/O.

1. A character may be cut as two JSON escapes (`\ud83d` and `\ude00`) or between its UTF-8 bytes.
2. A first half at the end of a piece is held until the next piece, or the end of the text.
3. Bytes that are no UTF-8 stand in a decoded text as code points from `_RAW` on, which no text uses
   (the end of the last private plane), until they are joined or replaced.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

_RAW = 0x10FF00
_RAW_BYTES = "[\U0010ff80-\U0010ffff]"
_ODD = re.compile("[\ud800-\udfff\U0010ff80-\U0010ffff]")
_RUN = re.compile(_RAW_BYTES + "+")
_HALF = re.compile(f"(?:[\ud800-\udbff]|{_RAW_BYTES}{{1,3}})\\Z")
_ERRORS = "durable-llm-streams-raw"


def _raw(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(_RAW + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ERRORS, _raw)


def decoded(data: bytes) -> str:
    """The text of bytes; what is no UTF-8 in them can still be joined."""
    return data.decode("utf-8", _ERRORS)


def clean(text: str) -> str:
    """A text in which nothing can be joined any more."""
    if _ODD.search(text) is None:
        return text
    text = _RUN.sub(lambda run: _bytes(run[0]).decode("utf-8", "replace"), text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cleaned(value: Any) -> Any:
    """The same for every text of a JSON value."""
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
        """What is whole of the text now."""
        text, self.held = self.held + piece, ""
        if _ODD.search(text) is None:
            return text
        half = _HALF.search(text)
        if half is not None:
            begin = _begin_of_half(half[0])
            if begin is not None:
                place = half.start() + begin
                text, self.held = text[:place], text[place:]
        return clean(text)

    def end(self) -> str:
        """What is left at the end of the text."""
        held, self.held = self.held, ""
        return clean(held)


def _bytes(raw: str) -> bytes:
    return bytes(ord(mark) - _RAW for mark in raw)


def _begin_of_half(tail: str) -> int | None:
    """Where in the odd characters at a text's end one begins that may go on."""
    if ord(tail[0]) < _RAW:
        return 0
    for begin in range(len(tail)):
        try:
            _bytes(tail[begin:]).decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data" and error.start == 0:
                return begin
    return None
