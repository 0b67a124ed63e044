"""The rig of directed tests: some servers over one store, one owner, readers, and the oracle.

A test starts the store, injects its fault by hand, and calls `verify`: every reader comes to its
end, and all that is known is judged by `tests.oracle`. `watched` looks at the readers meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from durable_llm_streams.chunks import decode
from durable_llm_streams.fold import Fold
from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from tests.app import JSON
from tests.crash.campaign import visitor
from tests.crash.places import Place, RedisPlace, SQLitePlace
from tests.crash.reader import Reader
from tests.fake_provider import FakeProvider
from tests.oracle.evidence import Answer, Evidence, Log, Reading
from tests.oracle.invariants import violations
from tests.oracle.reading_rules import GrowingLog
from tests.processes import ServerProcess
from tests.waiting import until

#: Short enough for a test, long enough for two busy cores.
LEASE = 2.0

SETTINGS = {"DLS_LEASE": f"{LEASE:g}", "DLS_ATTEMPTS": "100", "DLS_DEMO_TOKENS_PER_SECOND": "60"}

QUESTION = "How?"
_LOOK_SECONDS = 0.2


class Rig:
    """The servers, the owner's connections, the readers.

    Attributes:
        servers: the processes.
        http: the owner's cookies and connections; one cookie is good at every server.
        place: the store, looked at beside the servers.
        readers: all that were ever made.
    """

    def __init__(
        self, servers: Sequence[ServerProcess], http: aiohttp.ClientSession, place: Place
    ) -> None:
        self.servers = servers
        self.http = http
        self.place = place
        self.readers: list[Reader] = []
        self._logs: dict[str, GrowingLog] = {}
        self._looked: dict[Reader, Reading] = {}

    def reader(self, chat: str, *urls: str) -> Reader:
        """A reader of a chat's answer."""
        known = urls or tuple(server.url for server in self.servers)
        reader = Reader(f"reader {len(self.readers)} of {chat}", self.http, chat, known)
        self.readers.append(reader)
        return reader

    async def killed_amid(self, reader: Reader, rng: random.Random, kills: int) -> JSON:
        """Kill the first server and start it again, so often, amid the answer to a reader.

        Returns the message that the server reports at the end, when nothing was wrong.
        """
        server = self.servers[0]
        for _ in range(kills):
            await reader.reaches(reader.last + rng.randint(1, 40))
            if reader.has_ended:
                break
            await server.kill()
            await server.start()
        return await self.message(reader)

    async def message(self, reader: Reader) -> JSON:
        """The message that a reader has read to its end, when nothing was wrong."""
        (answer,) = (await self.verify(reader)).answers.values()
        assert answer.history is not None
        return dict(answer.history[-1])

    async def asked(self, count: int, record: int) -> list[Reader]:
        """So many questions, spread over the servers, each answered up to a record."""
        urls = [server.url for server in self.servers]
        turns = [number % len(urls) for number in range(count)]
        readers = [
            self.reader(f"chat-{number}", *urls[turn:], *urls[:turn]).ask(QUESTION)
            for number, turn in enumerate(turns)
        ]
        for reader in readers:
            await reader.reaches(record)
        return readers

    async def get(self, path: str, server: int = 0) -> tuple[int, JSON]:
        """Ask a server; its status and its JSON, if it is any."""
        async with self.http.get(self.servers[server].url + path) as response:
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, await response.json() if is_json else {}

    async def ready(self) -> list[int]:
        """How every server answers whether it takes work."""
        numbers = range(len(self.servers))
        return [(await self.get("/readyz", number))[0] for number in numbers]

    async def all_answer(self, status: int, seconds: float = 60.0) -> None:
        """Wait until every server says that it takes work (200), or that it does not (503)."""
        what = f"every /readyz to say {status}"
        await until(self.ready, lambda found: set(found) == {status}, what, seconds=seconds)

    async def epoch(self, reader: Reader) -> int:
        """How often the run was claimed that a reader reads."""
        assert reader.reading.run_id is not None
        return (await self.place.run(reader.reading.chat, reader.reading.run_id)).epoch.number

    async def taken_over(self, reader: Reader) -> None:
        """Wait until another writer than the first has the run that a reader reads."""
        await until(lambda: self.epoch(reader), lambda epoch: epoch > 1, "a takeover")

    def log(self, reader: Reader) -> Log:
        """The log that a reader reads, as it was at the last look."""
        assert reader.reading.run_id is not None
        return self._logs[reader.reading.run_id].log

    async def verify(self, *readers: Reader, server: int = 0) -> Evidence:
        """Wait until readers have the end of their answers; nothing may be wrong with them.

        Args:
            readers: all of the rig's, unless some are named.
            server: returns the history.
        """
        answers: dict[str, Answer] = {}
        chosen = readers or tuple(self.readers)
        for reader in chosen:
            chat, run_id = reader.reading.chat, (await reader.finish()).run_id
            assert run_id is not None, f"{reader.reading.who} has read nothing"
            if run_id in answers:
                continue
            status, snapshot = await self.get(f"/api/chats/{chat}", server)
            assert status == 200, (status, snapshot)
            run, log = await self.place.run(chat, run_id), await self.place.log(run_id)
            wrong = self._logs.setdefault(run_id, GrowingLog()).grown(log)
            assert not wrong, wrong
            active = snapshot["active_run"]
            history = snapshot["messages"]
            answers[run_id] = Answer(
                run, log, history=history, active=active["id"] if active else None
            )
        evidence = Evidence(
            answers=answers,
            readings=[reader.reading for reader in chosen],
            accepted=[each.what for reader in chosen for each in reader.accepted],
        )
        found = violations(evidence)
        assert not found, "\n".join(map(str, found))
        return evidence

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Look at every reader again and again meanwhile. What is wrong ends the block."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            yield
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            for reader in list(self.readers):
                await self._look(reader)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, reader: Reader) -> None:
        now, run_id = reader.reading, reader.reading.run_id
        if run_id is None:
            return
        seen = self._looked.setdefault(reader, Reading(now.who, now.chat))
        if len(seen.frames) == len(now.frames):
            return
        # What it has before the log is read: more may come meanwhile.
        seen.after, seen.frames = now.after, now.frames[:]
        growing = self._logs.setdefault(run_id, GrowingLog())
        wrong = growing.look(seen, await self.place.log(run_id))
        assert not wrong, wrong


@asynccontextmanager
async def rig(
    folder: Path,
    url: str | None,
    count: int = 2,
    settings: Mapping[str, str] | None = None,
    *,
    each: Sequence[Mapping[str, str]] = (),
) -> AsyncGenerator[Rig, None]:
    """Started servers that are removed at the end, in any state.

    Args:
        folder: where each server gets a folder of its own.
        url: the address of the Redis store; None is a SQLite file of the only server.
        count: how many servers.
        settings: of all of them, beside `SETTINGS`.
        each: of each of them.
    """
    servers = []
    for number in range(count):
        place = folder / f"server-{number}"
        place.mkdir()
        own = each[number] if number < len(each) else {}
        store = {} if url is None else {"DLS_STORE": url}
        servers.append(ServerProcess(place, {**SETTINGS, **store, **(settings or {}), **own}))
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.push_async_callback(server.kill)
        await asyncio.gather(*(server.start() for server in servers))
        http = await stack.enter_async_context(visitor())
        found = Rig(servers, http, await stack.enter_async_context(_looked_into(url, servers)))
        status, body = await found.get("/api/chats")  # brings the owner's cookie
        assert status == 200, (status, body)
        stack.push_async_callback(_close, found)
        yield found
        for server in servers:
            log = server.log.read_text()
            assert "Traceback" not in log, log


@asynccontextmanager
async def _looked_into(
    url: str | None, servers: Sequence[ServerProcess]
) -> AsyncGenerator[Place, None]:
    if url is None:
        (server,) = servers
        yield SQLitePlace(0, server.store)
        return
    store = RedisStore(RedisAddress.parse(url))
    try:
        await store.open()
        yield RedisPlace(range(len(servers)), store)
    finally:
        await store.close()


async def _close(found: Rig) -> None:
    await asyncio.gather(*(reader.close() for reader in found.readers))


@asynccontextmanager
async def providers() -> AsyncGenerator[tuple[FakeProvider, FakeProvider], None]:
    """A provider for each of two servers. Different words show which server wrote a record."""
    async with FakeProvider() as first, FakeProvider() as second:
        yield first, second


def asking(provider: FakeProvider) -> dict[str, str]:
    """The settings of a server that asks this provider; an answer starts over after a cut."""
    return {"OPENAI_BASE_URL": provider.base_url, "DLS_MODEL": "fake:", "DLS_PREFILL": "none"}


def words(records: Iterable[bytes]) -> list[str]:
    """The words in records, including those dropped later."""
    chunks = map(decode, records)
    deltas = (chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    return "".join(deltas).split()


def shown(records: Sequence[bytes]) -> str:
    """The text of the message that a log folds to."""
    parts = Fold.of(records).message()["parts"]
    return "".join(part.get("text", "") for part in parts)
