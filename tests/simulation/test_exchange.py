"""Requests on a simulated network: each of its faults does what its name says, and nothing else."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.oracle.reader import Interrupted

from .exchange import Application, Exchange
from .faults import Faults
from .loop import Process
from .small_world import live

CHUNK = b"0123456789abcdef" * 64  # 1 KiB
CHUNKS = 100
BUFFER = 16  # chunks
WHOLE = CHUNK * CHUNKS


class Drawn(random.Random):
    """Draws always the same."""

    def __init__(self, value: Any) -> None:
        super().__init__(0)
        self._value = value

    def choice(self, seq: Any) -> Any:
        return self._value

    def uniform(self, a: float, b: float) -> float:
        assert isinstance(self._value, float)
        return self._value


class Certain(Faults):
    """Faults that strike everywhere, with the details that a test chooses."""

    def __init__(self, **faults: Any) -> None:
        super().__init__(0, {})
        self._certain = {kind.replace("_", "-"): value for kind, value in faults.items()}

    def strikes(self, kind: str, place: str) -> random.Random | None:
        return Drawn(self._certain[kind]) if kind in self._certain else None


class Home:
    """A process that serves an application of its own: it writes chunks, and notes what it sees."""

    def __init__(self, chunks: int = CHUNKS) -> None:
        self.process = Process("A")
        self.application: Application | None = self._answer
        self.exchanges: dict[asyncio.Task[None], Exchange] = {}
        self.sent = 0
        self.seen: list[str] = []
        self.disconnected = False
        self._chunks = chunks

    def ask(self, **faults: Any) -> Exchange:
        return Exchange(self, Certain(**faults), "no. 1", "POST", "/x?y=1", {"a": "b"}, b"{}")

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        request = await receive()
        self.seen.append(f"{scope['method']} {scope['path']} {request['body'].decode()}")
        listening = asyncio.create_task(self._listen(receive))
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]})
        for _ in range(self._chunks):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.seen.append("answered")
        listening.cancel()

    async def _listen(self, receive: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        self.disconnected = True


async def received(exchange: Exchange) -> tuple[bytes, bool]:
    """What gets through of a response's body, and whether it was cut off."""
    body = b""
    try:
        while data := await exchange.piece():
            body += data
    except Interrupted:
        return body, True
    return body, False


ASKED = "POST /x {}"


@pytest.mark.parametrize(
    ("faults", "seconds", "seen"),
    [
        ({}, 0.0, [ASKED, "answered"]),
        ({"slow_request": 2.5}, 2.5, [ASKED, "answered"]),
        ({"repeat_request": True}, 0.0, [ASKED, ASKED, "answered", "answered"]),
        ({"lose_request": True}, None, []),
        ({"lose_response": True}, None, [ASKED, "answered"]),
    ],
)
def test_a_request_shows_its_fault_and_is_answered_whole_or_not(
    faults: dict[str, Any], seconds: float | None, seen: list[str]
) -> None:
    async def main() -> None:
        home = Home(chunks=3)
        exchange = home.ask(**faults)
        if seconds is None:
            with pytest.raises(Interrupted):
                await exchange.begin()
        else:
            await exchange.begin()
            assert asyncio.get_running_loop().time() == pytest.approx(seconds, abs=0.05)
            assert (exchange.status, exchange.headers) == (201, {"x-a": "b"})
            assert await received(exchange) == (CHUNK * 3, False)
        await asyncio.sleep(100)
        assert sorted(home.seen) == seen
        assert home.exchanges == {}

    for seed in range(5):
        live(main, seed)


@pytest.mark.parametrize("left", [1, 1023, 1024, 1025, len(WHOLE) - 1, len(WHOLE)])
def test_a_cut_response_comes_to_exactly_that_byte(left: int) -> None:
    async def main() -> None:
        exchange = Home().ask(cut_response=left)
        await exchange.begin()
        assert await received(exchange) == (WHOLE[:left], True)

    live(main)


def test_a_reader_that_reads_nothing_holds_the_writer_back_until_it_is_gone() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask()
        await exchange.begin()
        for taken in range(3):
            await asyncio.sleep(1000)
            assert (home.sent, home.disconnected) == (BUFFER + taken, False)
            await exchange.piece()
        exchange.leave()
        await asyncio.sleep(1)
        assert (home.seen[-1], home.disconnected) == ("answered", True)

    live(main)


def test_a_frozen_process_answers_late_and_a_dead_one_cuts_its_response() -> None:
    async def main() -> None:
        home = Home()
        home.process.frozen = True
        exchange = home.ask()
        beginning = asyncio.create_task(exchange.begin())
        await asyncio.sleep(50)
        assert not beginning.done()
        home.process.frozen = False
        await beginning
        await asyncio.sleep(10)
        home.process.kill()
        for each in home.exchanges.values():
            each.cut()
        assert await received(exchange) == (WHOLE[: (BUFFER + 1) * 1024], True)  # what was sent
        assert home.seen == [ASKED]
        with pytest.raises(Interrupted):
            await home.ask().begin()

    live(main)
