"""Scripts as Redis runs them: Lua 5.1 with `redis.call`, `redis.pcall` and `cjson.encode`.

There is one Lua for all servers of the process: making one, and compiling the scripts, takes longer
than a whole history.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from lupa import lua51  # type: ignore[import-untyped]  # it has no stubs

from durable_llm_streams.stores.redis.client.script import Script, without_first_line

from .commands import decimal
from .keyspace import ErrorReply, Reply, Status

#: Runs a command for a script, given its words.
Execute = Callable[[Sequence[bytes]], Reply]


class Lua:
    """Runs scripts, one at a time."""

    def __init__(self) -> None:
        self._runtime = lua51.LuaRuntime(
            encoding=None, register_eval=False, register_builtins=False
        )
        self._table = self._runtime.table_from
        self._table_type = type(self._table([]))
        self._bodies: dict[str, Any] = {}
        self._execute: Execute = _no_script_runs
        names = self._runtime.globals()
        names[b"redis"] = self._table({b"call": self._call, b"pcall": self._protected_call})
        names[b"cjson"] = self._table({b"encode": self._encode})

    def run(
        self, script: Script, keys: Sequence[bytes], args: Sequence[bytes], execute: Execute
    ) -> Reply:
        """Run a script."""
        body = self._bodies.get(script.sha) or self._compiled(script)
        self._execute = execute
        try:
            return self._reply(body(self._table(keys), self._table(args)))
        except lua51.LuaError as error:
            raise ErrorReply(f"ERR {error}") from error

    def _compiled(self, script: Script) -> Any:
        text = "local KEYS, ARGV = ... " + without_first_line(script.text)
        try:
            body = self._runtime.compile(text.encode(), name=f"={script.name}.lua".encode())
        except lua51.LuaSyntaxError as error:
            raise ErrorReply(f"ERR Error compiling script: {error}") from error
        self._bodies[script.sha] = body
        return body

    def _call(self, *given: Any) -> Any:
        """`redis.call`. The values are those that Redis gives a script."""
        reply = self._execute([word if type(word) is bytes else decimal(word) for word in given])
        kind = type(reply)
        if kind is bytes or kind is int:
            return reply
        if kind is Status:
            return self._table({b"ok": bytes(reply)})  # type: ignore[arg-type]  # it is bytes
        if reply is None:
            return False
        elements: Sequence[Any] = reply  # type: ignore[assignment]  # nothing else is left
        return self._table([False if each is None else each for each in elements])

    def _protected_call(self, *given: Any) -> Any:
        try:
            return self._call(*given)
        except ErrorReply as error:
            return self._table({b"err": str(error).encode()})

    def _encode(self, value: Any) -> bytes:
        text = json.dumps(self._plain(value), ensure_ascii=False, separators=(",", ":"))
        text = text.replace("/", "\\/").replace("\x7f", "\\u007f")
        return text.encode(errors="surrogateescape")

    def _plain(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode(errors="surrogateescape")
        if type(value) is not self._table_type:
            return value
        length = len(value)
        if length:
            return [self._plain(value[index]) for index in range(1, length + 1)]
        return {self._plain(name): self._plain(each) for name, each in value.items()}

    def _reply(self, value: Any) -> Reply:
        """What the product's client gets of a script's result."""
        kind = type(value)
        if kind is bytes or kind is int or value is None:
            return value  # type: ignore[no-any-return]
        if kind is float:
            return int(value)
        if kind is bool:
            return 1 if value else None
        if (text := value[b"err"]) is not None:
            raise ErrorReply(text.decode())
        if (text := value[b"ok"]) is not None:
            return text  # type: ignore[no-any-return]
        elements: list[Reply] = []
        while (each := value[len(elements) + 1]) is not None:
            elements.append(self._reply(each))
        return elements


@functools.cache
def lua() -> Lua:
    return Lua()


def _no_script_runs(words: Sequence[bytes]) -> Reply:
    raise AssertionError(f"No script runs: {words!r}")
