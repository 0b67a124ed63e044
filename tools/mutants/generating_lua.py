"""Mutants of Redis' scripts by machine: comparisons, logic, numbers, and statements left out.

There is no tool for Lua with operators to take over. The scripts are plain enough for a line at a
time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .generating import numbered, swapped
from .mutant import PACKAGE, Mutant, one_line, source_of

_FOLDER: Final = "stores/redis/lua"
_SWAPS: Final = {
    " == ": " ~= ",
    " ~= ": " == ",
    " < ": " <= ",
    " <= ": " < ",
    " > ": " >= ",
    " >= ": " > ",
    " and ": " or ",
    " or ": " and ",
    " + ": " - ",
    " - ": " + ",
    "not ": "",
    "math.min(": "math.max(",
    "math.max(": "math.min(",
    "'-inf', now": "'-inf', '+inf'",
}
_COMMENT: Final = re.compile(r"(?:^|\s+)--.*$|^#!.*$")
_ALONE: Final = re.compile(
    r"^(\s*)(?:call|publish|publish_change|touch|keep_chat|delete_chat)\(.*\)\s*$"
)


def generate_lua() -> list[Mutant]:
    """All mutants of all scripts."""
    files = sorted((PACKAGE / _FOLDER).glob("*.lua"))
    return list(numbered(each for file in files for each in _of_file(file.name, file.stem)))


def _of_file(file: str, name: str) -> Iterator[Mutant]:
    path = f"{_FOLDER}/{file}"
    start = 0
    for line in source_of(path).decode().splitlines(keepends=True):
        own = start
        start += len(line.encode())
        code = _COMMENT.sub("", line.rstrip())
        changed = list(swapped(code, _SWAPS))
        if _ALONE.match(code) and code.count("(") == code.count(")"):
            changed.append("")
        for text in changed:
            yield Mutant(
                path=path,
                function=name,
                line=0,
                span=(own, own + len(code.encode())),
                replacement=text.encode(),
                before=one_line(code),
                after=one_line(text) or "(nothing)",
            )
