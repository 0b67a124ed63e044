r"""Lines that are too long to keep: their long data strings are cut while they are read. No I/O.

1. This applies only to a line longer than the limit. Data strings (a `data:` URL, also as a
   Markdown picture; base64) longer than `longest` are cut. Their beginning stays, with a `CUT`
   mark that holds their length.
2. The line stays JSON, so the text beside a picture is read. No other string is ever cut.
3. A line that is still too long is lost.
4. The result does not depend on how the bytes are split.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 384 * 1024  # bytes
CUT: Final = "\0cut:"  # follows the beginning of a cut string; then comes its length in bytes

_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # the inside, as far as it goes
_DATA = re.compile(
    rb"(?:(?:!\[[^\]]{0,100}\]\()?data:[\x20-\x7e]{0,100}?,)?(?:[A-Za-z0-9+/=_-]|\\/){128}"
)
_HEAD = re.compile(rb'(?:[^"\\]|\\u[0-9A-Fa-f]{4}|\\[^u])*')
_KEPT = 256  # bytes of a cut string


class LongLine:
    """One line that is longer than the limit.

    Args:
        limit: bytes that it may have without its long data strings.
        longest: bytes that a data string may have.
    """

    def __init__(self, limit: int, longest: int = LONGEST) -> None:
        self.is_lost = False
        self._limit = limit
        self._longest = longest
        self._line = bytearray()
        self._rest = b""  # a backslash whose character is still to come
        self._begin = -1  # where the open string begins; -1 outside of strings
        self._size = 0  # of the open string
        self._is_data = False  # the open string is a data string, and cut

    def feed(self, data: bytes) -> None:
        """Read the next bytes; there is no line end among them."""
        if self.is_lost:
            return
        data, self._rest = self._rest + data, b""
        at = 0
        while at < len(data):
            at = self._outside(data, at) if self._begin < 0 else self._inside(data, at)
        is_open = self._begin >= 0 and self._size <= self._longest
        self._check(len(self._line) - (self._size if is_open else 0))

    def end(self) -> bytes | None:
        """The shortened line; None if it is lost."""
        self._line += self._rest
        self._check(len(self._line))
        return None if self.is_lost else bytes(self._line)

    def _check(self, size: int) -> None:
        if size > self._limit:
            self.is_lost = True
            self._line.clear()

    def _outside(self, data: bytes, at: int) -> int:
        quote = data.find(b'"', at)
        end = len(data) if quote < 0 else quote + 1
        self._line += data[at:end]
        if quote >= 0:
            self._begin, self._size, self._is_data = len(self._line), 0, False
        return end

    def _inside(self, data: bytes, at: int) -> int:
        found = _STRING.match(data, at)
        end = found.end() if found is not None else at
        self._size += end - at
        if not self._is_data:
            self._line += data[at:end]
            if self._size > self._longest and _DATA.match(self._line, self._begin):
                self._is_data = True
                kept = self._begin + min(_KEPT, self._longest)
                head = _HEAD.match(self._line, self._begin, kept)
                del self._line[head.end() if head is not None else self._begin :]
        if end == len(data):
            return end
        if data[end] == ord("\\"):
            self._rest = data[end:]
            return len(data)
        if self._is_data:
            self._line += b"\\u0000cut:%d" % self._size
        self._line += b'"'
        self._begin = -1
        return end + 1
