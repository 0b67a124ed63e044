"""Text that is safe to print on a terminal."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_CONTROLS: Final[dict[int, None]] = dict.fromkeys(
    (
        *(code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
)


def sanitized(text: str) -> str:
    """Text without characters that move the cursor, change colours or reverse the text."""
    return _ESCAPE_SEQUENCE.sub("", text).translate(_CONTROLS)
