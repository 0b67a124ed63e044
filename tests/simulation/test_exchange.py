"""Requests on a simulated network: each of its faults does what its name says, and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.runs import Limits
from tests.oracle.reader import Interrupted

from .determinism import determined
from .exchange import Application, Exchange
from .faults import Faults
from .injected_store import Ledger
from .loop import Process
from .provider import Provider
from .server import Server
from .small_world import live
from .sqlite_site import SQLiteSite
from .trace import Trace

CHUNK = b"0123456789abcdef" * 64  # 1 KiB
CHUNKS = 100
BUFFER = 16  # chunks


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
    """A process that serves an application of its own: it writes chunks, and notes what it sees.

    Attributes:
        begun: how often it was asked.
        sent: how many chunks `send` has taken.
        seen: what it was asked, and how it ended.
    """

    def __init__(self, chunks: int = CHUNKS, rest: float = 0.0) -> None:
        self.process = Process("A")
        self.application: Application | None = self._answer
        self.exchanges: dict[asyncio.Task[None], Exchange] = {}
        self.begun = 0
        self.sent = 0
        self.seen: list[str] = []
        self.told = asyncio.Event()
        self._chunks = chunks
        self._rest = rest  # seconds before the end of the response

    def ask(self, faults: Faults | None = None, body: bytes = b"") -> Exchange:
        return Exchange(self, faults or Faults(0, {}), "no. 1", "POST", "/x?y=1", {"a": "b"}, body)

    def die(self) -> None:
        self.process.kill()
        for exchange in self.exchanges.values():
            exchange.cut()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        request = await receive()
        self.seen.append(f"{scope['method']} {scope['path']} {request['body'].decode()}")
        listening = asyncio.create_task(self._listen(receive))
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]})
        for _ in range(self._chunks):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            self.sent += 1
        await asyncio.sleep(self._rest)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.seen.append("answered")
        listening.cancel()

    async def _listen(self, receive: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        self.told.set()


async def received(exchange: Exchange) -> tuple[bytes, bool]:
    """What gets through of a response's body, and whether it was cut off."""
    body = b""
    try:
        while data := await exchange.piece():
            body += data
    except Interrupted:
        return body, True
    return body, False


WHOLE = CHUNK * CHUNKS


# --- nothing goes wrong --------------------------------------------------------------------------


def test_a_request_and_its_response_come_through_whole_and_in_order() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask(body=b"{}")
        await exchange.begin()
        assert exchange.status == 201
        assert exchange.headers == {"x-a": "b"}
        assert await exchange.whole() == WHOLE
        assert await exchange.piece() == b""
        assert home.seen == ["POST /x {}", "answered"]
        assert home.exchanges == {}

    for seed in range(20):
        live(main, seed)


# --- requests ------------------------------------------------------------------------------------


def test_a_lost_request_is_never_seen() -> None:
    async def main() -> None:
        home = Home()
        with pytest.raises(Interrupted):
            await home.ask(Certain(lose_request=True)).begin()
        await asyncio.sleep(100)
        assert home.begun == 0

    live(main)


def test_a_slow_request_is_seen_late_and_then_answered() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask(Certain(slow_request=2.5))
        await exchange.begin()
        assert asyncio.get_running_loop().time() == pytest.approx(2.5, abs=0.05)
        assert await exchange.whole() == WHOLE

    live(main)


def test_a_repeated_request_is_seen_twice_and_answered_once() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask(Certain(repeat_request=True), b"{}")
        await exchange.begin()
        assert await exchange.whole() == WHOLE
        await asyncio.sleep(10)
        assert home.begun == 2
        assert sorted(home.seen) == ["POST /x {}", "POST /x {}", "answered", "answered"]

    live(main)


# --- responses -----------------------------------------------------------------------------------


def test_a_lost_response_leaves_the_client_without_one_after_all_was_done() -> None:
    async def main() -> None:
        home = Home(chunks=3)
        with pytest.raises(Interrupted):
            await home.ask(Certain(lose_response=True)).begin()
        await asyncio.sleep(10)
        assert home.seen == ["POST /x ", "answered"]

    live(main)


@pytest.mark.parametrize("left", [1, 2, 1023, 1024, 1025, 4096, len(WHOLE) - 1, len(WHOLE)])
def test_a_cut_response_comes_to_exactly_that_byte(left: int) -> None:
    async def main() -> None:
        exchange = Home().ask(Certain(cut_response=left))
        await exchange.begin()
        assert await received(exchange) == (WHOLE[:left], True)
        with pytest.raises(Interrupted):
            await exchange.piece()

    for seed in range(5):
        live(main, seed)


def test_a_cut_strikes_at_many_bytes_and_leaves_a_response_alone_that_is_shorter() -> None:
    async def main(seed: int) -> tuple[bytes, bool]:
        exchange = Home(chunks=3).ask(Faults(seed, {"cut-response": 1.0}))
        await exchange.begin()
        return await received(exchange)

    def lived(seed: int) -> tuple[bytes, bool]:
        return live(lambda: main(seed))

    found = [lived(seed) for seed in range(60)]
    lengths = [len(body) for body, cut in found if cut]
    assert all((WHOLE[: 3 * 1024]).startswith(body) for body, _ in found)
    assert all(len(body) == 3 * 1024 for body, cut in found if not cut)
    assert 1 in lengths
    assert len(set(lengths)) > 15
    assert len(lengths) < 60


def test_the_server_mostly_hears_of_a_cut_and_sometimes_never() -> None:
    async def main(seed: int) -> bool:
        home = Home(chunks=8, rest=20.0)
        exchange = home.ask(Faults(seed, {"cut-response": 1.0}))
        await exchange.begin()
        assert (await received(exchange))[1]
        await asyncio.sleep(10)
        return home.told.is_set()

    def lived(seed: int) -> bool:
        return live(lambda: main(seed))

    told = sum(lived(seed) for seed in range(60))
    assert 30 < told < 60


# --- readers -------------------------------------------------------------------------------------


def test_a_reader_that_reads_nothing_holds_the_writer_back_at_the_buffers_size() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask()
        await exchange.begin()
        await asyncio.sleep(1000)
        assert home.sent == BUFFER
        await exchange.piece()
        await asyncio.sleep(1000)
        assert home.sent == BUFFER + 1
        await exchange.whole()
        assert home.seen[-1] == "answered"

    live(main)


def test_a_client_that_goes_away_is_told_and_holds_nobody_back() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask()
        await exchange.begin()
        await asyncio.sleep(10)
        assert not home.told.is_set()
        exchange.leave()
        await asyncio.sleep(1)
        assert home.told.is_set()
        assert home.seen[-1] == "answered"

    live(main)


def test_a_connection_that_is_cut_holds_nobody_back() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask()
        await exchange.begin()
        await asyncio.sleep(10)
        exchange.cut()
        await asyncio.sleep(1)
        assert home.seen[-1] == "answered"

    live(main)


# --- processes -----------------------------------------------------------------------------------


def test_the_death_of_the_process_cuts_what_it_was_answering() -> None:
    async def main() -> None:
        home = Home()
        exchange = home.ask()
        await exchange.begin()
        await asyncio.sleep(10)
        home.die()
        body, cut = await received(exchange)
        assert cut
        assert WHOLE.startswith(body)
        assert len(body) == (BUFFER + 1) * 1024  # what was on its way arrives
        await asyncio.sleep(10)
        assert home.seen == ["POST /x "]

    live(main)


def nobody(home: Home) -> None:
    home.application = None


@pytest.mark.parametrize("before", [Home.die, nobody])
def test_where_nobody_serves_the_connection_is_refused(before: Callable[[Home], None]) -> None:
    async def main() -> None:
        home = Home()
        before(home)
        with pytest.raises(Interrupted):
            await home.ask().begin()
        assert asyncio.get_running_loop().time() < 1
        assert home.begun == 0

    live(main)


def test_a_frozen_process_answers_when_it_thaws() -> None:
    async def main() -> None:
        home = Home(chunks=3)
        home.process.frozen = True
        exchange = home.ask()
        beginning = asyncio.create_task(exchange.begin())
        await asyncio.sleep(50)
        assert not beginning.done()
        home.process.frozen = False
        await beginning
        assert await exchange.whole() == WHOLE[: 3 * 1024]

    live(main)


def test_a_server_that_is_killed_cuts_its_streams_and_the_next_one_answers(tmp_path: Path) -> None:
    async def main() -> None:
        rng, faults, trace = random.Random(0), Faults(0, {}), Trace()
        site, provider = SQLiteSite(tmp_path, rng), Provider(faults)
        server = Server("A", site, provider, faults, Ledger(), trace, Limits(), "reject")
        feed = ("no. 1", "GET", "/api/events", {"x-owner": "o"})
        server.start()
        await asyncio.sleep(1)
        exchange = Exchange(server, faults, *feed)
        await exchange.begin()
        assert exchange.status == 200
        assert await exchange.piece()
        server.kill()
        assert (await received(exchange))[1]
        with pytest.raises(Interrupted):
            await Exchange(server, faults, *feed).begin()
        server.start()
        await asyncio.sleep(1)
        exchange = Exchange(server, faults, *feed)
        await exchange.begin()
        assert exchange.status == 200
        assert server.process.name == "A2"
        exchange.leave()
        server.terminate()
        await server.ended.wait()
        assert server.leaks + site.leaks() == []

    with determined(random.Random(0), 0.0):
        live(main)
