"""The scripts that run inside Redis: each is a file in `lua/`."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

_INCLUDE = re.compile(r"^-- include (\S+\.lua)$", re.MULTILINE)


class Script:
    """One `.lua` file, with what it takes in by `-- include OTHER.lua`.

    Args:
        name: of the file, without `.lua`.

    Attributes:
        name: of the file.
        text: what Redis runs.
        sha: what Redis knows it by, once it has run it.
        plain: the same for servers that do not know the first line, `#!lua`.
    """

    __slots__ = ("name", "plain", "sha", "text")

    def __init__(self, name: str, text: str | None = None) -> None:
        self.name = name
        self.text = (
            _INCLUDE.sub(lambda found: _read(found[1]), _read(f"{name}.lua"))
            if text is None
            else text
        )
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        plain = without_first_line(self.text)
        self.plain: Script | None = None if plain == self.text else Script(name, plain)

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


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("lua", name).read_text("utf-8")
