"""The time after the faults, in which logs and chats expire, with late readers.

Servers start again, with few turns, for longer than the longest age. Some are restarted, clocks are
set. Readers look shortly before something may go, and shortly after it must have gone.

How early and how late retention may be comes from docs/storage.md: each start of a server may count
up to a tenth of the shortest age that has not passed; what a stop or a clock that is set back takes
away makes it late. The time to live of a log follows the clock of Redis; a chat's has a day more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from durable_llm_streams.model import Cursor, token_at
from tests.oracle.evidence import Answer, Evidence, Reading
from tests.oracle.owner_evidence import Look
from tests.oracle.violation import Violation

from .clients import ChatClient
from .collecting import Served
from .redis_site import RedisSite
from .server import Server

if TYPE_CHECKING:
    from .history import History

_LOOK_SECONDS = 60.0  # between two looks of a server at its clock
_SLACK_SECONDS = 30.0
_JUMPS_SECONDS = (-86_400.0, 3_600.0, 86_400.0, 400 * 86_400.0)
_JUMPS_OF_REDIS = (-3_600.0, 30.0, 120.0, 20_000.0)  # two of them less than a day
_EARLIER_JUMP = 60.0  # the most that Redis's clock was set ahead before
_AHEAD_SECONDS = (0.0, 3_600.0, 400 * 86_400.0)  # the clock of a process that starts
_DOWN_SECONDS = (0.0, 5.0, 50.0)


class Lifetime(NamedTuple):
    """Between these times, in the loop's, something must go."""

    earliest: float
    latest: float


class Ageing:
    """What happens after the faults."""

    def __init__(self, history: History, answers: Sequence[Answer], served: Served) -> None:
        plan = history.workload.ageing
        assert plan is not None
        self._history = history
        self._answers = [answer for answer in answers if answer.run.chat_id in served.chats]
        self._served = served
        self._plan = plan
        self._begun = asyncio.get_running_loop().time()
        self._looks: list[Look] = []
        self._seen: list[Violation] = []
        self._readings: list[Reading] = []
        faults = history.faults
        self._rng = faults.rng("ageing")
        self._on_redis = isinstance(history.site, RedisSite)
        jumps = _JUMPS_OF_REDIS if self._on_redis else _JUMPS_SECONDS
        self._incidents = [
            (kind, share, rng.choice(_AHEAD_SECONDS if kind == "restart" else jumps))
            for number, (kind, share) in enumerate(plan.incidents)
            if (rng := faults.keeps(kind, f"in the time of ageing, no. {number}", late=True))
        ]
        one = {answer.run.id: [answer] for answer in self._answers}
        self._logs = self._lifetimes(plan.log, one, follows_redis=True)
        chats = served.chats
        of_chats = {c: [a for a in self._answers if a.run.chat_id == c] for c in chats}
        self._chats = self._lifetimes(plan.chat, of_chats, follows_redis=False)

    async def live(self) -> None:
        history = self._history
        keepers = []
        for server in history.servers:
            server.limits = replace(server.limits, lease=60.0, poll=10.0)
            keepers.append(asyncio.create_task(self._keep(server)))
        owners = sorted(set(history.owners.values()))
        clients = {
            owner: ChatClient(history.network, f"{owner}-late", owner, 0) for owner in owners
        }
        subscribers = [
            asyncio.create_task(ChatClient(history.network, f"{owner}-ages", owner, 0).subscribe())
            for owner in owners
        ]
        first_feed = len(history.network.observed.feeds)
        await self._pass_time(clients)
        lists = {owner: await client.list() for owner, client in clients.items()}
        for task in (*subscribers, *keepers):
            task.cancel()
        await history.end()
        self._evidence = Evidence(
            answers={answer.run.id: answer for answer in self._answers},
            readings=self._readings,
            deleted=frozenset(self._chats),
            looks=self._looks,
            seen=self._seen,
            owners=history.owners,
            feeds=history.network.observed.feeds[first_feed:],
            lists=lists,
        )

    async def evidence(self) -> Evidence:
        """Of it, when the store was opened again."""
        kept = await self._history.site.kept() if self._plan.chat else []
        leaks = [f"{what} is still there after the ages of everything" for what in kept]
        return changed(self._evidence, leaks=leaks)

    def _lifetimes(
        self, age: float, of: Mapping[str, Sequence[Answer]], *, follows_redis: bool
    ) -> dict[str, Lifetime]:
        """When something must go that is as old as the newest of some answers' ends."""
        if not age:
            return dict.fromkeys(of, Lifetime(float("inf"), float("inf")))
        began: dict[str, float] = {}
        for change in self._history.ledger.changes:
            if change.kind == "run-ended":
                began.setdefault(change.about, change.began)
        early, late = self._tolerance(follows_redis=follows_redis)
        return {
            name: Lifetime(
                max([began.get(answer.run.id, 0.0) for answer in answers], default=0.0)
                + age
                - early,
                self._begun + age + late,
            )
            for name, answers in of.items()
        }

    def _tolerance(self, *, follows_redis: bool) -> tuple[float, float]:
        """How much too early and too late something may go, in seconds."""
        ages = [age for age in (self._plan.log, self._plan.chat) if age]
        restarts = [kind for kind, *_ in self._incidents].count("restart")
        starts = len(self._history.servers) + restarts
        early = starts * min(ages) / 10
        late = 3 * _LOOK_SECONDS + _SLACK_SECONDS + restarts * max(_DOWN_SECONDS)
        late += len(self._incidents) * _LOOK_SECONDS
        if self._on_redis:
            jumps = [seconds for kind, _, seconds in self._incidents if kind == "set-clock"]
            counted = len(jumps) * _LOOK_SECONDS
            early += _EARLIER_JUMP + (sum(max(0.0, j) for j in jumps) if follows_redis else counted)
            late += 2 * _EARLIER_JUMP
        return early, late

    async def _keep(self, server: Server) -> None:
        while True:
            server.start()
            await server.ended.wait()
            await asyncio.sleep(self._rng.choice(_DOWN_SECONDS))

    async def _pass_time(self, clients: Mapping[str, ChatClient]) -> None:
        loop, longest = asyncio.get_running_loop(), max(self._plan.log, self._plan.chat)
        due = [(self._begun + share * longest, kind, s) for kind, share, s in self._incidents]
        lives = {*self._logs.values(), *self._chats.values()}
        times = {life.earliest - 5.0 for life in lives} | {life.latest + 1.0 for life in lives}
        times |= {self._begun + self._rng.random() * longest for _ in range(2)}
        due += [(time, "look", 0.0) for time in times if self._begun < time < float("inf")]
        for at, kind, seconds in sorted(due):
            await asyncio.sleep(max(0.0, at - loop.time()))
            if kind == "look":
                await self._look(clients)
            elif kind == "restart":
                self._restart(round(1000 * seconds))
            else:
                self._set_clock(seconds)

    def _restart(self, ahead: int) -> None:
        server = self._rng.choice(self._history.servers)
        server.ahead = ahead
        if self._rng.random() < 0.5:
            server.kill()
        else:
            server.terminate()

    def _set_clock(self, seconds: float) -> None:
        site = self._history.site
        if isinstance(site, RedisSite):
            site.set_clock(seconds)
            return
        server = self._rng.choice(self._history.servers)
        server.process.ahead += round(1000 * seconds)
        self._history.trace.add(server.process.name, "has its clock set")

    async def _look(self, clients: Mapping[str, ChatClient]) -> None:
        loop, owners = asyncio.get_running_loop(), self._history.owners
        for answer in self._answers:
            chat, since = answer.run.chat_id, loop.time()
            reading = await clients[owners[chat]].follow(chat, self._somewhere(answer))
            self._readings.append(reading)
            status = 200 if reading.ended else reading.lost
            gone = {410} if loop.time() < self._chats[chat].earliest else {404, 410}
            gone -= {410} if since > self._chats[chat].latest else set()
            self._add(f"the log of {answer.name}", since, self._logs[answer.run.id], status, gone)
        for chat, before in self._served.chats.items():
            client, life, since = clients[owners[chat]], self._chats[chat], loop.time()
            now = await client.chat(chat)
            if now is not None and now != before:
                what = f"{chat} was {before} before its age, it is {now} at {since:.1f} s"
                self._seen.append(Violation("history-is-fold", what))
            self._add(f"the chat {chat}", since, life, 404 if now is None else 200, {404})
            since = loop.time()
            status = 200 if chat in await client.list() else 404
            self._add(f"the chat {chat} in the list", since, life, status, {404})

    def _add(self, what: str, since: float, life: Lifetime, status: int, gone: set[int]) -> None:
        until = asyncio.get_running_loop().time()
        self._looks.append(Look(what, since, until, *life, status, frozenset(gone)))
        self._history.trace.add(what, "is there" if status == 200 else f"is gone: HTTP {status}")

    def _somewhere(self, answer: Answer) -> Cursor:
        """A place in a log behind which something stands."""
        seq = self._rng.choice((0, self._rng.randrange(len(answer.log.records))))
        if not seq:
            return Cursor.beginning(answer.run.id)
        token = token_at(answer.log.spans, seq)
        assert token is not None
        return Cursor(answer.run.id, seq, token)
