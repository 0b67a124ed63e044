"""A provider that sends the exact bytes of a case, with its pauses and cuts, over a real socket.

It is a web server only as far as a case needs one, so that nothing but the case decides which bytes
go out. It also stands in for an HTTP proxy: a request for a whole address is answered the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.providers.body import as_bytes, filled, whole
from tests.providers.case import Answer, Case, Step, When


class Asked(NamedTuple):
    """A request, as it came.

    Attributes:
        path: with the query.
        headers: by their names in lower case.
        body: of JSON; None where there is none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def messages(self) -> list[Any]:
        """The conversation; empty for requests without one."""
        body = self.body if isinstance(self.body, dict) else {}
        return body.get("messages") or body.get("input") or []

    def field(self, name: str) -> Any:
        """A field of the body, by its names from outside to inside; raises KeyError."""
        value = self.body
        for part in name.split("."):
            if not isinstance(value, dict):
                raise KeyError(name)
            value = value[part]
        return value

    def has(self, name: str) -> bool:
        """Whether the body has the field."""
        with contextlib.suppress(KeyError):
            self.field(name)
            return True
        return False

    def fits(self, when: When) -> bool:
        """Whether every condition holds."""
        bare, _, query = self.path.partition("?")
        path = self.path if "?" in when.path else bare
        roles = [message.get("role") for message in self.messages]
        return all(
            (
                not when.path or path.endswith(when.path),
                when.query in query,
                not when.method or self.method == when.method,
                not when.field or self.has(when.field),
                not (when.no_field and self.has(when.no_field)),
                not when.header or when.header.lower() in self.headers,
                not (when.no_header and when.no_header.lower() in self.headers),
                not when.last_role or roles[-1:] == [when.last_role],
                not when.role or when.role in roles,
                when.alternates is None or when.alternates == alternates(roles),
            )
        )


def alternates(roles: list[str]) -> bool:
    """Whether user and assistant take turns and the user is first, after a system message."""
    turns = roles[1:] if roles[:1] == ["system"] else roles
    return all(role == ("user", "assistant")[at % 2] for at, role in enumerate(turns))


class RawProvider:
    """The server. Also an asynchronous context manager.

    Attributes:
        requests: all that came, in order.
        unanswered: requests that no answer of the case is for.
        values: what `@{NAME}` stands for, see `body.filled`.
    """

    def __init__(self, case: Case, values: Mapping[str, str]) -> None:
        self.requests: list[Asked] = []
        self.unanswered: list[Asked] = []
        self.values = dict(values)
        self._rules = [answer for answer in case.answer if answer.when is not None]
        self._row = [answer for answer in case.answer if answer.when is None]
        self._open: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26)
        self.values["port"] = str(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await _request(reader)
                self.requests.append(request)
                answer = self._answer(request)
                await _Sending(answer, self.values, reader, writer).send()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._open.discard(task)
            writer.transport.abort() if writer.is_closing() else writer.close()

    def _answer(self, request: Asked) -> Answer:
        for answer in self._rules:
            assert answer.when is not None
            if request.fits(answer.when):
                return answer
        if not self._row:
            self.unanswered.append(request)
            return Answer(status=404, body="")
        return self._row.pop(0) if len(self._row) > 1 else self._row[0]


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (n.partition(":") for n in lines)}
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    path = f"{url.path}?{url.query}" if url.query else url.path
    return Asked(method, path, headers, json.loads(data) if data.strip() else None)


class _Sending:
    """One answer on its way."""

    def __init__(
        self,
        answer: Answer,
        values: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._answer, self._values = answer, values
        self._reader, self._writer = reader, writer

    async def send(self) -> None:
        await asyncio.sleep(self._answer.wait)
        if self._answer.head:
            self._writer.write(self._head())
        for step in self._answer.steps:
            if isinstance(step, str):
                await self._text(step)
            elif await self._step(step):
                return
        if self._answer.framing == "chunked":
            self._writer.write(b"0\r\n\r\n")
        await self._close()

    def _head(self) -> bytes:
        answer = self._answer
        headers = {"Content-Type": answer.type} if answer.type else {}
        headers |= {name: filled(value, self._values) for name, value in answer.headers.items()}
        if answer.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif answer.framing == "length":
            headers["Content-Length"] = str(len(whole(answer, self._values)))
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def _text(self, text: str) -> None:
        data = as_bytes(filled(text, self._values))
        if self._answer.framing == "chunked" and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._writer.write(data)
        await self._writer.drain()

    async def _step(self, step: Step) -> bool:
        """Do what it says. Whether the answer is over with it."""
        await asyncio.sleep(step.pause)
        for _ in range(step.times if step.every else 1 if step.repeat else 0):
            await asyncio.sleep(step.every)
            await self._text(step.repeat * (1 if step.every else step.times))
        if step.raw:
            self._writer.write(as_bytes(step.raw))
        if step.reset:
            await self._reset()
        elif step.end:
            await self._close()
        elif step.hang:
            await self._reader.read()
        return step.reset or step.end or step.hang

    async def _reset(self) -> None:
        """Once what was sent has arrived: a reset takes with it what is still on its way."""
        await self._writer.drain()
        await asyncio.sleep(0.1)
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Odd"
