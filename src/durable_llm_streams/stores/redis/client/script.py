"""A Lua script that Redis runs, and the name that Redis knows it by."""

from __future__ import annotations

import hashlib


class Script:
    """A script.

    Args:
        name: for error messages.
        text: the source, which may begin with `#!lua`.

    Attributes:
        name: see above.
        text: what Redis runs.
        sha: what Redis knows it by, once it has run it.
        plain: the same for servers that do not know the first line, `#!lua`; None if there is none.
    """

    __slots__ = ("name", "plain", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        plain = without_first_line(text)
        self.plain: Script | None = None if plain == text else Script(name, plain)

    def __repr__(self) -> str:
        return f"Script({self.name!r})"


def without_first_line(text: str) -> str:
    """A script without `#!lua`; its other lines keep their numbers."""
    return "\n" + text.partition("\n")[2] if text.startswith("#!") else text


def first_line_refused(error: str) -> bool:
    """Whether an error may be due to a first line, `#!lua`, that the server does not know.

    Older ones, and some hosted ones, take it for Lua, where `#` is an operator.
    """
    lowered = error.lower()
    return "compil" in lowered or "shebang" in lowered or "near '#'" in lowered
