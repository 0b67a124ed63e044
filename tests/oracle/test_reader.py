"""The client: what it does at each answer, and what it takes for a broken protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy

import pytest

from tests.virtual_time import run_virtual, virtual

from .evidence import Reading
from .reader import Client, Connection, Interrupted, Request, UnexpectedStatus, take
from .sound import World, word

RUN = World().finished
OVER = Connection(0, RUN.id)


def events(after: int = 0) -> list[tuple[str, str]]:
    """The events of an answer, and the last one."""
    frames = RUN.reading("somebody", after=after).frames
    return [*((str(frame.cursor), frame.data.decode()) for frame in frames), ("", "[DONE]")]


def a_reading(after: int = 0) -> Reading:
    return Reading("the reader", "c0", RUN.cursor(after) if after else None)


@pytest.mark.parametrize("after", [0, 3])
def test_a_whole_answer_is_taken(after: int) -> None:
    reading = a_reading(after)
    for event in events(after):
        assert not reading.ended
        take(reading, *event, OVER)
    assert (reading.error, reading.ended) == (None, True)
    assert len(reading.frames) == len(RUN.records) - after


X = word("x").decode()
ANOTHER_RUN = (str(World().stopped.cursor(2)), X)
BROKEN: dict[str, tuple[str, int, list[int], tuple[str, str] | None]] = {
    "twice": ("prefix", 0, [0, 1, 1], None),
    "another order": ("prefix", 0, [0, 2, 1], None),
    "what it has already": ("prefix", 3, [2], None),
    "another run than the cursor's": ("prefix", 0, [0], ANOTHER_RUN),
    "another run than the response named": ("prefix", 0, [], ANOTHER_RUN),
    "no cursor": ("compatible", 0, [], ("", X)),
    "something after the end": ("one-end", 0, [-3, -2, -3], None),
    "done without an end": ("one-end", 0, [0, -1], None),
    "something after it is done": ("one-end", 0, [-2, -1, -1], None),
}


@pytest.mark.parametrize(("promise", "after", "order", "last"), BROKEN.values(), ids=BROKEN)
def test_a_broken_protocol_is_noted_at_once(
    promise: str, after: int, order: list[int], last: tuple[str, str] | None
) -> None:
    reading = a_reading(after)
    *before, broken = [*(events()[index] for index in order), *([last] if last else [])]
    for event in before:
        take(reading, *event, OVER)
    assert reading.error is None
    for _ in range(2):
        take(reading, *broken, OVER)
    assert reading.error is not None
    assert reading.error.promise == promise
    assert len(reading.frames) == len([data for _, data in before if data != "[DONE]"])


class Scripted:
    """A response that was written beforehand; None in its body breaks the connection."""

    def __init__(self, status: int, *body: bytes | None, **headers: str) -> None:
        self.status = status
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.headers: Mapping[str, str] = {"x-run-id": RUN.id, **named}
        self._body = list(body)

    async def piece(self) -> bytes:
        piece = self._body.pop(0) if self._body else b""
        if piece is None:
            raise Interrupted("scripted")
        return piece


def stream(first: int, last: int, *more: bytes | None) -> Scripted:
    """The events from one number to another, 1 being the first."""
    told = [f"id: {cursor}\ndata: {data}\n\n" for cursor, data in events()[first - 1 : last]]
    return Scripted(200, "".join(told).encode(), *more)


END = len(RUN.records) + 1  # with `[DONE]`


class Servers:
    """A transport whose servers answer what is written; None refuses the connection."""

    def __init__(self, *answers: Scripted | None) -> None:
        self._answers = deepcopy(list(answers))
        self.asked: list[tuple[int, str, str]] = []

    @asynccontextmanager
    async def open(self, server: int, request: Request) -> AsyncGenerator[Scripted, None]:
        resumed = request.headers.get("last-event-id", "")
        self.asked.append((server, request.method, resumed.split(".")[1][-2:] if resumed else ""))
        assert self._answers, f"an answer too few for {self.asked}"
        answer = self._answers.pop(0)
        if answer is None:
            raise Interrupted("refused")
        yield answer


POST = Request("POST", "/api/chat", b"{}")


async def read(
    *answers: Scripted | None, first: Request | None = None, reading: Reading | None = None
) -> tuple[Reading, Sequence[tuple[int, str, str]]]:
    servers = Servers(*answers)
    done = await Client(servers, 2).read(reading or a_reading(), first)
    return done, servers.asked


@virtual
async def test_a_cut_reader_resumes_with_its_cursor_at_the_next_server() -> None:
    reading, asked = await read(stream(1, 3), stream(4, 5, None), None, stream(6, END), first=POST)
    assert asked == [(0, "POST", ""), (1, "GET", "03"), (0, "GET", "05"), (1, "GET", "05")]
    assert reading.frames == RUN.reading("whole").frames
    assert (reading.ended, reading.error, reading.clean_ends) == (True, None, 1)


@virtual
async def test_a_sender_retries_its_message_until_accepted_and_then_reads_that_run() -> None:
    later = (Scripted(503, retry_after="1"), None, Scripted(409, retry_after="1"))
    reading, asked = await read(*later, stream(1, 0, None), stream(1, END), first=POST)
    assert asked == [*[(turn % 2, "POST", "") for turn in range(4)], (0, "GET", "00")]
    assert (reading.ended, reading.error) == (True, None)


STATUSES: dict[str, tuple[list[Scripted], Request | None, int, dict[str, object]]] = {
    "404: lost": ([stream(1, 3), Scripted(404)], None, 0, {"lost": 404, "ended": False}),
    "410: lost": ([stream(1, 3), Scripted(410)], None, 0, {"lost": 410, "ended": False}),
    "204: it had the end": ([Scripted(204)], None, len(RUN.records), {"ended": True}),
    "204: there is nothing": ([Scripted(204)], None, 0, {"left": True, "ended": False}),
    "204 before the end": ([stream(1, 3), Scripted(204)], None, 0, {"error": "prefix: got 204"}),
    "400": ([Scripted(400, b"why")], POST, 0, {"error": "honest-failure: got HTTP 400: why"}),
    "500": ([Scripted(500, b"why")], POST, 0, {"error": "honest-failure: got HTTP 500: why"}),
}


@pytest.mark.parametrize(("answers", "first", "after", "expected"), STATUSES.values(), ids=STATUSES)
def test_a_status_ends_a_reading_in_its_way(
    answers: list[Scripted], first: Request | None, after: int, expected: dict[str, object]
) -> None:
    reading, _ = run_virtual(read(*answers, first=first, reading=a_reading(after)))
    error = expected.get("error", "None")
    assert str(reading.error).startswith(str(error))
    found = {name: getattr(reading, name) for name in expected if name != "error"}
    assert found == {name: value for name, value in expected.items() if name != "error"}


@virtual
async def test_a_reader_that_disconnects_resumes_with_its_cursor() -> None:
    servers, stays = Servers(stream(1, 3, b": x\n\n"), stream(4, END)), iter([False, True])

    async def pace(piece: bytes) -> bool:
        return next(stays)

    reading = await Client(servers, 1).read(a_reading(), pace=pace)
    assert servers.asked == [(0, "GET", ""), (0, "GET", "03")]
    assert reading.ended


@virtual
async def test_a_reader_that_waits_for_an_answer_polls_until_there_is_one() -> None:
    servers = Servers(Scripted(204), Scripted(404), stream(1, END))
    assert (await Client(servers, 1).read(a_reading(), waits=True)).ended


@virtual
async def test_a_call_is_retried_until_a_server_answers_it() -> None:
    servers = Servers(None, Scripted(503), Scripted(200, b"yes", None), Scripted(200, b"y", b"es"))
    answered = await Client(servers, 2).call(POST)
    assert (answered.server, answered.body) == (1, b"yes")
    with pytest.raises(UnexpectedStatus, match="POST /api/chat got HTTP 418: tea"):
        await Client(Servers(Scripted(418, b"tea")), 1).call(POST)
