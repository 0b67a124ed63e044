"""Scripts as Redis runs them: Lua 5.1, `redis.call`, and errors that name the line.

The Lua around a script is `prelude.lua`. There is one Lua for all servers of the process: making
one, and compiling the scripts, takes longer than a whole history.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lupa import lua51  # type: ignore[import-untyped]  # it has no stubs

from .command import Words
from .values import ErrorReply, Reply, Status, decimal

#: More words or elements than that do not fit on Lua's stack.
_LONG = 4000
_FLAGS = ("no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys")
_FIRST_LINE = re.compile(rb"#!([^ \n]*)([^\n]*)")
_BAD_ARGUMENT = b"ERR Lua redis lib command arguments must be strings or integers"

#: Runs a command for a script.
Execute = Callable[[Words], Reply]


class Script(NamedTuple):
    """A script that is ready to run.

    Attributes:
        sha: what it is known by.
        body: the Lua function.
        flags: those of its first line; None without such a line.
        only_reads: whether they say that it does not write.
    """

    sha: bytes
    body: Any
    flags: frozenset[str] | None
    only_reads: bool


class Lua:
    """Runs scripts, one at a time."""

    def __init__(self) -> None:
        self._runtime = lua51.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
        )
        prelude = Path(__file__).with_name("prelude.lua").read_bytes()
        start = self._runtime.compile(prelude, name=b"=prelude")
        self._compile, self._run, self._run_long = start(self._dispatch)
        self._scripts: dict[bytes, Script] = {}
        self._execute: Execute = _nobody

    def script(self, text: bytes) -> Script:
        """The script of this text. Raises ErrorReply where Redis would refuse it."""
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = self._compiled(text)
        return script

    def run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes], execute: Execute
    ) -> bytes:
        """Run a script.

        Args:
            script: what to run.
            keys: its KEYS.
            arguments: its ARGV.
            execute: runs its commands; it may raise ErrorReply.

        Returns:
            The reply as the protocol has it.
        """
        self._execute = execute
        reply: bytes
        if len(keys) + len(arguments) < _LONG:
            reply = self._run(script.body, script.sha, len(keys), *keys, *arguments)
        else:
            tables = map(self._runtime.table_from, (keys, arguments))
            reply = self._run_long(script.body, script.sha, *tables)
        return reply

    def _compiled(self, text: bytes) -> Script:
        flags, rest = _first_line(text)
        body, problem = self._compile(rest)
        if body is None:
            raise ErrorReply(b"ERR Error compiling script (new function): " + problem)
        sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
        return Script(sha, body, flags, flags is not None and "no-writes" in flags)

    def _dispatch(self, *given: Any) -> Any:
        """See `prelude.lua` for what comes back."""
        try:
            reply = self._execute([word if type(word) is bytes else _word(word) for word in given])
        except ErrorReply as error:
            return (None, b"err", error.text)
        kind = type(reply)
        if kind is bytes or kind is int:
            return reply
        if reply is None:
            return False
        if kind is Status:
            return (None, b"ok", bytes(reply))  # type: ignore[arg-type]  # it is bytes
        elements: Sequence[Any] = reply  # type: ignore[assignment]  # what is left
        if None in elements:
            elements = [False if each is None else each for each in elements]
        if len(elements) < _LONG:
            return (True, *elements)
        return self._runtime.table_from(elements)


@functools.cache
def lua() -> Lua:
    """The one Lua of this process."""
    return Lua()


def _nobody(words: Words) -> Reply:
    raise AssertionError("No script runs.")


def _word(given: object) -> bytes:
    """An argument of a command that is no text."""
    if type(given) is int and -(10**17) < given < 10**17:
        return b"%d" % given
    if type(given) in (int, float):
        return decimal(given)  # type: ignore[arg-type]  # it is one of them
    raise ErrorReply(_BAD_ARGUMENT)


def _first_line(text: bytes) -> tuple[frozenset[str] | None, bytes]:
    """The flags of `#!lua flags=…`, and the text without it; lines keep their numbers."""
    found = _FIRST_LINE.match(text)
    if found is None:
        return None, text
    if found[1] != b"lua":
        raise ErrorReply(b"ERR Unexpected engine in script shebang: #!" + found[1])
    flags: set[str] = set()
    for part in found[2].split():
        if not part.startswith(b"flags="):
            raise ErrorReply(b"ERR Unknown lua shebang option: " + part)
        flags.update(filter(None, part[6:].decode().split(",")))
    for flag in sorted(flags.difference(_FLAGS)):
        raise ErrorReply(b"ERR Unexpected flag in script shebang: " + flag.encode())
    return frozenset(flags), text[found.end() :]
