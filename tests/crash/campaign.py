"""Servers that are killed again and again while people ask, read and stop.

How a campaign goes:

1. A store, three servers behind a proxy each, a provider in a process of its own. Servers are
   started again as soon as they have died.
2. Chats begin and end all the time, so many at once; what is done with each is in `plan`, as is
   what goes wrong. Each is judged when its answer has ended (`oracle`).
3. When there were enough kills nothing more goes wrong: what stands still goes on (zombies wake),
   every answer ends, and then every log and every history is looked at once more.
4. The servers end as planned, and nothing may be left.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from tests.crash.chaos import Chaos
from tests.crash.chronicle import Chronicle
from tests.crash.oracle import Violation, late_records
from tests.crash.plan import MODELS, chat_plan, faults
from tests.crash.report import Outcome, story
from tests.crash.servers import CrashServer
from tests.crash.stores import Place, Side, opened_side
from tests.crash.work import Chat, Client
from tests.crash.zygote import Zygote
from tests.redis_faults.oracle import Log

SERVERS = 3
LEASE = 1.0
ATTEMPTS = 8

#: What is told even if it never happened.
ALWAYS = (
    "records of an old epoch behind a newer claim",
    "thaws after more than a lease",
    "zombies: thaws of who had lost a run",
    "runs that zombies had lost",
)

#: After so many violations there is no need for more.
ENOUGH = 10

_READY_SECONDS = 60.0
_CALM_SECONDS = 3 * LEASE
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=25)

#: What a server's log may not hold: an error that nobody expected.
_TRACE = "Traceback"


class Options(NamedTuple):
    """What a campaign is told.

    Attributes:
        store: `redis` or `sqlite`.
        seed: draws the plan.
        folder: for data and logs.
        kills: SIGKILLs to servers after which it is enough.
        seconds: after which it is enough, too.
        every: seconds from one fault to the next, on average.
        chats: how many at once.
    """

    store: str
    seed: int
    folder: Path
    kills: int = 100
    seconds: float = 24 * 3600.0
    every: float = 0.8
    chats: int = 12


class Seen(NamedTuple):
    """What a chat's log was when it was judged."""

    run_id: str
    digest: str


class Campaign:
    """One campaign over one store.

    Args:
        options: what it is told.
        zygote: forks the servers.
        provider: the provider's base address.
    """

    def __init__(self, options: Options, zygote: Zygote, provider: str) -> None:
        self._options = options
        self._zygote = zygote
        self._provider = provider
        self._chronicle = Chronicle()
        self._chronicle.counts.update(dict.fromkeys(ALWAYS, 0))
        self._outcome = Outcome(options.store, "", self._chronicle.counts)
        self._over = asyncio.Event()
        self._seen: dict[Chat, Seen] = {}

    async def run(self) -> Outcome:
        """Let it happen. Returns what came of it."""
        options = self._options
        async with opened_side(options.store, options.folder, SERVERS) as side:
            self._outcome.head = f"{SERVERS} {side.head}"
            async with asyncio.TaskGroup() as group:
                chaos, servers = self._prepare(side, group)
                async with _kept(servers, group), self._clients(side, servers) as clients:
                    await self._storm(chaos, side, clients)
                    await self._calm(side, clients)
                    self._count(servers)
            self._look_at_logs(servers)
        self._outcome.seconds = self._chronicle.now
        return self._outcome

    def progress(self) -> str:
        """How far it is, in a few words."""
        counts, wrong = self._chronicle.counts, len(self._outcome.wrong)
        store, kills, chats = self._options.store, counts["kills"], len(self._seen)
        return f"{store}: {kills} kills, {chats} chats, {wrong} violations"

    def _prepare(self, side: Side, group: asyncio.TaskGroup) -> tuple[Chaos, Sequence[CrashServer]]:
        servers: list[CrashServer] = []
        chaos = Chaos(side, servers, self._chronicle, lease=LEASE, group=group)
        for number in range(SERVERS):
            name = f"{side.name}-{number}"
            folder = self._options.folder / name
            folder.mkdir(parents=True)
            settings = {
                "DLS_STORE": side.address(number),
                "DLS_LEASE": f"{LEASE:g}",
                "DLS_ATTEMPTS": str(ATTEMPTS),
                "DLS_GRACE": "0.5",
                "DLS_TOKEN_TIMEOUT": "3",
                "DLS_FIRST_TOKEN_TIMEOUT": "3",
                "DLS_MODELS": ",".join(MODELS),
                "DLS_PREFILL": "none,goes-on*,refuses*",
                "OPENAI_BASE_URL": f"{self._provider}/{name}/v1",
            }
            servers.append(
                CrashServer(
                    name, folder, settings, self._zygote, self._chronicle, chaos.store_was_away
                )
            )
        return chaos, servers

    @asynccontextmanager
    async def _clients(
        self, side: Side, servers: Sequence[CrashServer]
    ) -> AsyncGenerator[list[Client], None]:
        """A visitor for each place. Each has his cookie, and every server has taken work."""
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server.proxy)
            clients = []
            for place in side.places:
                http = await stack.enter_async_context(
                    aiohttp.ClientSession(
                        cookie_jar=aiohttp.CookieJar(unsafe=True),
                        connector=aiohttp.TCPConnector(limit=0),
                        timeout=_TIMEOUT,
                    )
                )
                own = [servers[number] for number in place.servers]
                names = [server.name for server in own]
                clients.append(Client(http, names, [server.proxy.url for server in own]))
            await _all_ready(servers)
            for client in clients:
                await client.ask("GET", "/api/chats")
            yield clients

    # --- the storm -----------------------------------------------------------------------------

    async def _storm(self, chaos: Chaos, side: Side, clients: Sequence[Client]) -> None:
        options = self._options
        seed = f"{options.seed} {options.store}"
        numbers = itertools.count(1)
        plan = faults(seed, SERVERS, options.every, of_store=side.redis is not None)
        async with asyncio.TaskGroup() as group:
            for _ in range(options.chats):
                group.create_task(self._ask(seed, numbers, side.places, clients))
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(options.seconds):
                        await chaos.happen(plan, options.kills, self._over)
            finally:
                self._over.set()  # also where it is broken off: redis-py may swallow that
            await chaos.end()
            self._chronicle.note("Nothing more goes wrong")

    async def _ask(
        self,
        seed: str,
        numbers: itertools.count[int],
        places: Sequence[Place],
        clients: Sequence[Client],
    ) -> None:
        """One chat after the other."""
        while not self._over.is_set():
            number = next(numbers)
            where = number % len(places)
            place = places[where]
            chat = Chat(
                f"chat-{number}",
                chat_plan(seed, number, len(place.servers)),
                place,
                clients[where],
                self._chronicle,
                ATTEMPTS,
            )
            violations = await chat.live()
            self._judged(chat, violations)

    def _judged(self, chat: Chat, violations: Sequence[Violation]) -> None:
        outcome = self._outcome
        if violations:
            outcome.violations.append(story(violations, chat, self._chronicle))
        if len(outcome.violations) >= ENOUGH:
            self._over.set()
        if chat.case is not None:
            outcome.add(chat, late=len(late_records(chat.case.log)))
            self._seen[chat] = Seen(chat.case.run.id, _digest(chat.case.log))
            chat.forget()

    # --- the calm ------------------------------------------------------------------------------

    async def _calm(self, side: Side, clients: Sequence[Client]) -> None:
        """Look at everything once more, when who was a zombie has had time to write."""
        await asyncio.sleep(_CALM_SECONDS)
        for chat, seen in self._seen.items():
            log, _ = await chat.place.log(seen.run_id)
            if _digest(log) != seen.digest:
                changed = Violation("one-end", "The log has changed after its end")
                self._outcome.violations.append(story([changed], chat, self._chronicle, log))
            self._chronicle.counts["logs looked at once more"] += 1
        wrong = self._outcome.others
        for place, client in zip(side.places, clients, strict=True):
            of_chats: dict[str, set[str]] = {}
            for run in await place.runs():
                of_chats.setdefault(run.chat_id, set()).add(run.id)
            for name, runs in of_chats.items():
                if len(runs) > 1:
                    wrong.append(f"{name} has the runs {sorted(runs)} of one send")
            for server in range(len(client.names)):
                await client.ask("GET", "/api/chats", server)
        wrong += await side.leftovers()

    def _count(self, servers: Sequence[CrashServer]) -> None:
        counts = self._chronicle.counts
        counts["network: cuts"] += sum(server.proxy.cuts for server in servers)
        counts["network: connections"] += sum(server.proxy.accepted for server in servers)

    def _look_at_logs(self, servers: Sequence[CrashServer]) -> None:
        for server in servers:
            self._outcome.others += server.wrong
            text = server.log.read_text(errors="replace")
            if _TRACE in text:
                at = text.index(_TRACE)
                self._outcome.others.append(f"{server.name} logged:\n{text[at - 300 : at + 3000]}")


@asynccontextmanager
async def _kept(
    servers: Sequence[CrashServer], group: asyncio.TaskGroup
) -> AsyncGenerator[None, None]:
    """Servers that live, and at the end are told to end."""
    keepers = [group.create_task(server.keep(), name=server.name) for server in servers]
    try:
        yield
    finally:
        for server in servers:
            server.finish()
        await asyncio.wait(keepers)


async def _all_ready(servers: Sequence[CrashServer]) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while not all(server.is_ready for server in servers):
            await asyncio.sleep(0.02)


def _digest(log: Log) -> str:
    return hashlib.sha256(b"\n".join(log.records) + repr(log.spans).encode()).hexdigest()
