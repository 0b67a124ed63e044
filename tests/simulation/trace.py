"""The trace of a history: what happened, in order."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable

_MOST_LINES = 60


class Trace:
    """Who did what, and when."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, who: str, what: str) -> None:
        self.lines.append(f"{asyncio.get_running_loop().time():9.4f} s  {who} {what}")

    def digest(self, more: Iterable[bytes]) -> str:
        """What is equal for equal histories: of the trace, and of what else belongs to it."""
        whole = hashlib.blake2b("\n".join(self.lines).encode(), digest_size=8)
        for part in more:
            whole.update(part)
        return whole.hexdigest()

    def text(self) -> str:
        """The trace; of a long one, its beginning and its end."""
        lines = self.lines
        if len(lines) > _MOST_LINES:
            half = _MOST_LINES // 2
            left_out = len(lines) - 2 * half
            lines = [*lines[:half], f"           … {left_out} lines more …", *lines[-half:]]
        return "\n".join(f"  {line}" for line in lines)
