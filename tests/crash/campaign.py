"""A campaign: a workload over real servers that are killed, frozen and cut off again and again.

How it goes:

1. A store, three servers with a proxy before each, a provider in a process of its own. Servers are
   started again as soon as they have died.
2. Chats begin and end all the time, so many at once, of several owners; `plan` says what is done
   with each, and which faults strike. Each chat is judged when its answers have ended (`workload`).
3. After the last kill, faults stop: frozen servers are thawed, every answer ends, and then every
   log is looked at once more, and all runs together.
4. The servers are shut down, and nothing may be left.
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

from tests.crash.feeds import Feeds
from tests.crash.injector import FaultInjector
from tests.crash.plan import MODELS, chat_plan, faults
from tests.crash.report import Outcome, story
from tests.crash.servers import CrashServer
from tests.crash.stores import CampaignStore, opened_store
from tests.crash.trace import Trace
from tests.crash.workload import Chat, Owner
from tests.crash.zygote import Zygote
from tests.oracle.evidence import Evidence, Log
from tests.oracle.invariants import violations
from tests.oracle.reader import Request
from tests.oracle.violation import Violation
from tests.waiting import until

SERVERS = 3
OWNERS = 2
LEASE = 1.0
ATTEMPTS = 8

#: What is in the report even if it never happened.
ALWAYS = (
    "records of an old epoch behind a newer claim",
    "thaws after more than a lease",
    "zombies: thaws of servers that had lost a run",
    "runs that zombies had lost",
)

#: After so many violations there is no need for more.
ENOUGH = 10

_CALM_SECONDS = 3 * LEASE

#: What a server's log may not hold: an unexpected error.
_TRACEBACK = "Traceback"


class Options(NamedTuple):
    """The options of a campaign.

    Attributes:
        store: one of `stores.KINDS`.
        seed: draws the plans.
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


class Campaign:
    """One campaign over one store."""

    def __init__(self, options: Options, zygote: Zygote, provider: str) -> None:
        self._options = options
        self._zygote = zygote
        self._provider = provider
        self._trace = Trace()
        self._trace.counts.update(dict.fromkeys(ALWAYS, 0))
        self._outcome = Outcome(options.store, "", self._trace.counts)
        self._over = asyncio.Event()
        self._seen: dict[Chat, dict[str, str]] = {}  # the digest of each run's log

    async def run(self) -> Outcome:
        options = self._options
        async with opened_store(options.store, options.folder, SERVERS) as store:
            self._outcome.setup = f"{SERVERS} {store.setup}"
            async with asyncio.TaskGroup() as group:
                injector, servers = self._prepare(store, group)
                self._feeds = Feeds(self._trace, injector.pauses)
                async with _kept(servers, group), self._owners(store, servers) as owners:
                    await self._strike(injector, store, owners)
                    await self._calm(store, owners)
                    self._count(servers)
            self._look_at_logs(servers)
        self._outcome.seconds = self._trace.now
        return self._outcome

    @property
    def store(self) -> str:
        return self._options.store

    @property
    def wrong(self) -> Sequence[str]:
        """What was found until now."""
        return self._outcome.wrong

    def progress(self) -> str:
        kills, chats = self._trace.counts["kills"], len(self._seen)
        return f"{self.store}: {kills} kills, {chats} chats, {len(self.wrong)} violations"

    def _prepare(
        self, store: CampaignStore, group: asyncio.TaskGroup
    ) -> tuple[FaultInjector, Sequence[CrashServer]]:
        servers: list[CrashServer] = []
        injector = FaultInjector(store, servers, self._trace, lease=LEASE, group=group)
        for number in range(SERVERS):
            name = f"{store.name}-{number}"
            folder = self._options.folder / name
            folder.mkdir(parents=True)
            settings = {
                "DLS_STORE": store.address(number),
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
                    name, folder, settings, self._zygote, self._trace, injector.store_was_away
                )
            )
        return injector, servers

    @asynccontextmanager
    async def _owners(
        self, store: CampaignStore, servers: Sequence[CrashServer]
    ) -> AsyncGenerator[list[list[Owner]], None]:
        """Some owners for each place. Each has its cookie, and every server has taken work."""
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server.proxy)
            await until(
                lambda: [server.name for server in servers if not server.is_ready],
                lambda names: not names,
                "every server to be ready",
            )
            owners = []
            for place in store.places:
                own = [servers[number] for number in place.servers]
                names, urls = [each.name for each in own], [each.proxy.url for each in own]
                owners.append(
                    [
                        Owner(
                            f"owner {number} of {', '.join(names)}",
                            await stack.enter_async_context(visitor()),
                            names,
                            urls,
                        )
                        for number in range(OWNERS)
                    ]
                )
                for owner in owners[-1]:
                    await owner.ask(Request("GET", "/api/chats"))  # brings the cookie
                    self._feeds.follow(owner)
            stack.push_async_callback(self._feeds.end)
            yield owners

    # --- faults and workload --------------------------------------------------------------------

    async def _strike(
        self, injector: FaultInjector, store: CampaignStore, owners: Sequence[Sequence[Owner]]
    ) -> None:
        options = self._options
        seed = f"{options.seed} {options.store}"
        numbers = itertools.count(1)
        plan = faults(seed, SERVERS, options.every, store.weights)
        async with asyncio.TaskGroup() as group:
            for _ in range(options.chats):
                group.create_task(self._ask(seed, numbers, store, owners))
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(options.seconds):
                        await injector.strike(plan, options.kills, self._over)
            finally:
                self._over.set()  # also where it is broken off: redis-py may swallow that
            await injector.end()
            self._trace.note("No more faults")

    async def _ask(
        self,
        seed: str,
        numbers: itertools.count[int],
        store: CampaignStore,
        owners: Sequence[Sequence[Owner]],
    ) -> None:
        """One chat after the other."""
        while not self._over.is_set():
            number = next(numbers)
            turn, where = divmod(number, len(store.places))
            place, own = store.places[where], turn % OWNERS
            chat = Chat(
                f"chat-{number}",
                chat_plan(seed, number, len(place.servers)),
                place,
                owners[where][own],
                owners[where][(own + 1) % OWNERS],
                self._trace,
                ATTEMPTS,
            )
            self._judged(chat, await chat.live())

    def _judged(self, chat: Chat, found: Sequence[Violation]) -> None:
        outcome = self._outcome
        if found:
            outcome.violations.append(story(found, chat, self._trace))
        if len(outcome.violations) >= ENOUGH:
            self._over.set()
        outcome.add(chat)
        self._feeds.add(chat)
        self._seen[chat] = {
            run_id: _digest(answer.log) for run_id, answer in chat.evidence.answers.items()
        }
        chat.forget()

    # --- the calm -------------------------------------------------------------------------------

    async def _calm(self, store: CampaignStore, owners: Sequence[Sequence[Owner]]) -> None:
        """Look at everything once more, when every zombie has had time to write."""
        await asyncio.sleep(_CALM_SECONDS)
        for chat, digests in self._seen.items():
            for run_id, digest in digests.items():
                log = await chat.place.log(run_id)
                if _digest(log) != digest:
                    changed = Violation("one-end", f"the log of {run_id} changed after its end")
                    self._outcome.violations.append(story([changed], chat, self._trace, log))
                self._trace.counts["logs looked at once more"] += 1
        for place, here in zip(store.places, owners, strict=True):
            every = Evidence(runs=await place.runs())
            self._outcome.others += map(str, violations(every))
            for server in range(len(here[0].names)):
                await here[0].ask(Request("GET", "/api/chats"), server)
        self._outcome.others += map(str, await self._feeds.judged())
        self._outcome.others += await store.leftovers()

    def _count(self, servers: Sequence[CrashServer]) -> None:
        counts = self._trace.counts
        counts["network: cuts"] += sum(server.proxy.cuts for server in servers)
        counts["network: connections"] += sum(server.proxy.accepted for server in servers)

    def _look_at_logs(self, servers: Sequence[CrashServer]) -> None:
        for server in servers:
            self._outcome.others += server.wrong
            text = server.log.read_text(errors="replace")
            if _TRACEBACK in text:
                at = text.index(_TRACEBACK)
                begin = max(0, at - 300)
                self._outcome.others.append(f"{server.name} logged:\n{text[begin : at + 3000]}")


@asynccontextmanager
async def _kept(
    servers: Sequence[CrashServer], group: asyncio.TaskGroup
) -> AsyncGenerator[None, None]:
    """Servers that are restarted when they die, and shut down at the end."""
    keepers = [group.create_task(server.keep(), name=server.name) for server in servers]
    try:
        yield
    finally:
        for server in servers:
            server.finish()
        await asyncio.wait(keepers)


def visitor() -> aiohttp.ClientSession:
    """The connections and the cookies of one owner; one cookie is good at every server."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # takes cookies of an address without a name
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=25),
    )


def _digest(log: Log) -> str:
    return hashlib.sha256(b"\n".join(log.records) + repr(log.spans).encode()).hexdigest()
