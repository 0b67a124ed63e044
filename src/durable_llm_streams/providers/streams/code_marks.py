"""The position in a Markdown text while it is written: in code, at a line's beginning. No I/O.

Source: CommonMark 0.31, section 4.5 (fenced code blocks).
"""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_MOST = 400  # characters of the open line that are kept


class CodeMarks:
    """Follows a text.

    Attributes:
        line: the open line so far; of a long one only its beginning and its end.
    """

    def __init__(self) -> None:
        self.line = ""
        self._fence = ""  # the fence that opened the code block; "" outside of one

    @property
    def is_code(self) -> bool:
        """Whether the next character is code: in a fenced block, or after an open backtick."""
        return bool(self._after(self.line)) or bool(self._fence) or self.line.count("`") % 2 == 1

    @property
    def begins_line(self) -> bool:
        """Whether the open line holds only white space, and less than would make it code."""
        return not self.line.strip() and len(self.line.expandtabs(4)) < 4

    def follow(self, text: str) -> None:
        """Read the next text."""
        lines = (self.line + text).split("\n")
        self.line = lines.pop()
        for line in lines:
            self._fence = self._after(line)
        if len(self.line) > _MOST:
            self.line = self.line[: _MOST // 2] + self.line[-_MOST // 2 :]

    def _after(self, line: str) -> str:
        """The open fence after a line."""
        found = _FENCE.match(line)
        if found is None:
            return self._fence
        fence, rest = found[1], found[2]
        if not self._fence:
            return "" if fence[0] == "`" and "`" in rest else fence
        closes = fence.startswith(self._fence) and not rest.strip()
        return "" if closes else self._fence
