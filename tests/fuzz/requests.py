"""Whole requests to the application, without a socket: an answer that says what to do, no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from durable_llm_streams.wire.sse import SSEParser
from tests.fuzz.asgi import Answer, Served, serving
from tests.fuzz.harness import Check

_SEPARATOR = b"\n---\n"
_PROBLEM = {"type", "title", "status", "detail"}
#: Words that stand for what an earlier answer held: they change from one store to the next.
_COOKIE, _CURSOR, _NEXT = b"{COOKIE}", b"{CURSOR}", b"{NEXT}"


class Driver:
    """Sends requests to an application and judges the answers."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._known = {_COOKIE: b"", _CURSOR: b"", _NEXT: b""}

    def check(self, data: bytes) -> None:
        """Send the requests one after the other."""
        for request in data.split(_SEPARATOR):
            for word, value in self._known.items():
                request = request.replace(word, value)
            self._judge(self._send(request), request)

    def _judge(self, answer: Answer, request: bytes) -> None:
        assert 200 <= answer.status < 500, (request, answer)
        assert self._served.errors == []
        kind = answer.headers.get("content-type", "")
        if answer.status >= 400:
            assert kind == "application/problem+json", (request, answer)
            if answer.body:
                problem = json.loads(answer.body)
                assert set(problem) - {"run"} == _PROBLEM
                assert problem["status"] == answer.status
        elif kind == "text/event-stream":
            events = SSEParser().feed(answer.body)
            self._known[_CURSOR] = events[-1].id.encode() if events else b""
        elif kind == "application/json":
            content = json.loads(answer.body)
            self._known[_NEXT] = str(content.get("next")).encode()
        if "set-cookie" in answer.headers:
            self._known[_COOKIE] = answer.headers["set-cookie"].partition(";")[0].encode()

    def _send(self, data: bytes) -> Answer:
        head, _, body = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, _, target = first.partition(b" ")
        headers = [_header(line) for line in lines if line.strip(b": ")]
        address = quote(target, safe="/?%=&+:~")
        return self._served.send(method.decode("latin-1").upper() or "GET", address, headers, body)


def _header(line: bytes) -> tuple[bytes, bytes]:
    """As a server hands it on: no line ends and no NUL are in it."""
    name, _, value = line.translate(None, b"\r\0").partition(b":")
    return name.strip().lower(), value.strip()


@contextmanager
def opened() -> Iterator[Check]:
    with serving() as served:
        yield Driver(served).check
