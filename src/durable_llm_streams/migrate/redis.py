"""Reads chats from Redis and adds chats to it. See `portable`."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from msgspec import structs
from typing_extensions import override

from durable_llm_streams.errors import CursorLost, StoreLocked, StoreUnusable
from durable_llm_streams.model import Message, Run
from durable_llm_streams.store import PAGE_BYTES, Retention
from durable_llm_streams.stores.redis import scripts
from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.connection import pairs
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.stores.redis.doctor.checks import examine
from durable_llm_streams.stores.redis.log import record_seconds
from durable_llm_streams.stores.redis.pages import Pages
from durable_llm_streams.stores.redis.partitions import (
    VERSION,
    Partition,
    Partitions,
    chat_name,
    milliseconds,
    store_root,
)
from durable_llm_streams.stores.redis.replies import chat_from, messages_from, run_from
from durable_llm_streams.stores.redis.upgrading import count_servers, upgrade

from .portable import (
    Bodies,
    ChatName,
    Content,
    Listing,
    MovedRun,
    Outline,
    Portable,
    Records,
    at_rest,
)

logger = logging.getLogger(__name__)

_LISTED_AT_ONCE = 500
_SERVERS_CLOCK = ""

#: Data whose retention is over is copied nevertheless, and kept for so many seconds.
_LEAST_SECONDS = 24 * 3600.0


class PortableRedis(Portable):
    """The chats of a store on Redis.

    Args:
        address: where it is.
        retention: how long the added chats and logs are kept.
    """

    def __init__(self, address: RedisAddress, retention: Retention) -> None:
        self.name = str(address)
        self._retention = retention
        self._client = Database(address)
        self._partitions = Partitions(self._client, address)
        self._pages = Pages(self._partitions)
        self._root = store_root(address.prefix)
        self._named_by_id = False  # a store of layout 1, which is only read

    async def open(self, *, must_exist: bool) -> None:
        """Prepare the store for the other operations.

        Args:
            must_exist: whether a store must exist; otherwise it is created.

        Raises:
            StoreUnusable: there is no store, or the server cannot be used.
            StoreUnavailable: the server cannot be used now.
        """
        for finding in await examine(self._client):
            if finding.level == "fatal":
                raise StoreUnusable(finding.text)
            if finding.level == "danger" and not must_exist:
                logger.warning("%s", finding.text)
        address = self._client.address
        if must_exist and not await self._meta():
            raise StoreUnusable(
                f"There is no store at {address}. Name the address that the servers use."
            )
        meta = await self._meta(
            *("version", VERSION, "partitions", address.partitions),
            *("life", secrets.token_hex(8)),
        )
        if not must_exist or "upgrading" in meta:
            await upgrade(self._client, meta)
        self._named_by_id = must_exist and int(meta["version"]) < 2
        self._partitions.life = meta["life"]

    async def _meta(self, *fields: str | int) -> dict[str, str]:
        flat = await self._client.call(scripts.META, [self._root], fields)
        return {name.decode(): value.decode() for name, value in pairs(flat)}

    async def is_also(self, other: PortableRedis) -> bool:
        """Whether both addresses lead to the same store."""
        mark = secrets.token_hex(8).encode()
        await self._client.call(scripts.PORTABLE_MARK, [self._root], [mark])
        return bool(mark == await other._client.call(scripts.PORTABLE_MARK, [other._root], [""]))

    @override
    async def refuse_served(self) -> None:
        # A running server subscribes to a channel; while it writes, it also holds leases.
        if await count_servers(self._client, self._client.address.prefix):
            raise StoreLocked(
                f"Servers are running on {self.name}. Stop them, and start the migration again."
            )
        if any(await self._partitions.call_all(scripts.PORTABLE_SERVED)):
            raise StoreLocked(
                f"Answers are being written on {self.name}: a server is running, or was killed a "
                "moment ago. Stop it, wait until its leases have run out (DLS_LEASE), and start "
                "the migration again."
            )

    @override
    async def count(self) -> int:
        parts = await self._partitions.call_all(scripts.PORTABLE_CHATS, 0, 1)
        return sum(there for there, _, _ in parts)

    @override
    async def listing(self, place: str = "") -> Listing:
        partitions = self._partitions.all
        number, offset = map(int, place.split("-")) if place else (0, 0)
        total, seen, there = await partitions[number].call(
            scripts.PORTABLE_CHATS, offset, _LISTED_AT_ONCE
        )
        offset += seen
        after: str | None = f"{number}-{offset}"
        if offset >= total or not seen:
            after = f"{number + 1}-0" if number + 1 < len(partitions) else None
        names = [
            ChatName(owner.decode(), name.decode().rpartition("/")[2])
            for owner, name in pairs(there)
        ]
        return Listing(names, after)

    @override
    async def outline(self, name: ChatName) -> Outline | None:
        key = self._key_name(name)
        partition = self._partitions.named(key)
        reply = await partition.call(scripts.PORTABLE_OUTLINE, key, _SERVERS_CLOCK)
        if not reply:
            return None
        about, versions, runs, (age, *ages) = reply
        flat = [part for id_, entry in pairs(versions) for part in (id_, entry, b"")]
        chat = structs.replace(chat_from(about), active_run=None)
        if chat.owner != name.owner:
            return None  # in a store of layout 1
        return Outline(
            chat,
            tuple(messages_from(flat)),
            tuple(_moved_from(run, int(age), name) for run, age in zip(runs, ages, strict=True)),
            int(age),
        )

    def _key_name(self, name: ChatName) -> str:
        return name.id if self._named_by_id else chat_name(*name)

    @override
    async def contents(self, outline: Outline) -> AsyncGenerator[Content, None]:
        key = self._key_name(ChatName.of(outline.chat))
        partition, first = self._partitions.named(key), 0
        while first < len(outline.messages):
            bodies = await partition.call(scripts.PORTABLE_BODIES, key, first, PAGE_BYTES)
            if not bodies:
                raise CursorLost
            yield Bodies(first, bodies)
            first += len(bodies)
        for moved in outline.runs:
            self._partitions.remember(moved.run.id, partition)
            after = 0
            while moved.has_log and after + 1 < moved.next_seq:
                page = await self._pages.read(moved.run.id, after, PAGE_BYTES)
                if not page.records:
                    raise CursorLost
                yield Records(moved.run.id, page.first, page.records)
                after = page.last

    @override
    async def add_chat(self, outline: Outline, contents: AsyncIterator[Content]) -> bool:
        key = chat_name(*ChatName.of(outline.chat))
        # The pieces are invisible until the last script turns them into a chat.
        writer = _ChatWriter(self._partitions.named(key), key, outline)
        async for content in contents:
            if isinstance(content, Bodies):
                await writer.messages(content)
            else:
                await writer.records(content)
        await writer.runs()
        chat = outline.chat
        reply = await writer.call(
            scripts.PORTABLE_PUT_CHAT,
            *(key, chat.owner, chat.title, chat.created_at, chat.updated_at, chat.head or ""),
            len(outline.messages),
            self._time_left(outline.age, self._retention.chat),
            outline.age,
            _SERVERS_CLOCK,
            *(part for moved in outline.runs for part in self._run_args(moved)),
        )
        if reply == b"lost":
            raise CursorLost
        return bool(reply == b"ok")

    def _run_args(self, moved: MovedRun) -> tuple[str | int, ...]:
        """The arguments of the last script for one run."""
        length = moved.next_seq - 1 if moved.has_log else 0
        if moved.run.ended_at is None:
            return (moved.run.id, length, 0, 0, 0)
        log = self._time_left(moved.age, self._retention.log)
        record = self._time_left(moved.age, record_seconds(self._retention))
        return (moved.run.id, length, log, record, moved.age)

    def _time_left(self, age: int, seconds: float) -> int:
        """The rest of a retention, in milliseconds; 0 is for ever."""
        if seconds <= 0:
            return 0
        return max(milliseconds(seconds) - age, milliseconds(_LEAST_SECONDS))

    @override
    async def secret(self) -> bytes | None:
        secret = (await self._meta()).get("secret")
        return None if secret is None else bytes.fromhex(secret)

    @override
    async def set_secret(self, secret: bytes) -> None:
        await self._client.call(scripts.PORTABLE_SECRET, [self._root], [secret.hex()])

    @override
    async def sign_outs(self) -> Sequence[tuple[str, int]]:
        flat = await self._client.call(scripts.PORTABLE_SIGN_OUTS, [self._root], [])
        return [(owner.decode(), int(float(time))) for owner, time in pairs(flat)]

    @override
    async def add_sign_out(self, owner: str, not_before: int) -> None:
        await self._client.call(scripts.SIGN_OUT, [self._root], [owner, not_before, 0])

    @override
    async def close(self) -> None:
        await self._client.close()


class _ChatWriter:
    """Writes the pieces of a chat that is being added.

    Args:
        partition: of the chat.
        name: of the chat, in keys.
        outline: of the chat.
    """

    def __init__(self, partition: Partition, name: str, outline: Outline) -> None:
        self._partition = partition
        self._name = name
        self._outline = outline
        self._token = secrets.token_hex(8)
        self._left = {moved.run.id: _fields(name, moved) for moved in outline.runs}

    async def call(self, script: Script, *args: str | bytes | int) -> Any:
        """Run a script with the token as its first argument."""
        return await self._partition.call(script, self._token, *args)

    async def messages(self, content: Bodies) -> None:
        """Write some messages."""
        first, bodies = content
        messages = self._outline.messages[first:]
        pieces = [
            part
            for message, body in zip(messages, bodies, strict=False)
            for part in (message.id, _tree_entry(message), body)
        ]
        await self.call(scripts.PORTABLE_PUT_MESSAGES, self._name, first, *pieces)

    async def records(self, content: Records) -> None:
        """Write records of a run, and the run itself with the first ones."""
        run_id, first, records = content
        fields = self._left.pop(run_id, ())
        there = await self.call(
            scripts.PORTABLE_PUT_RUN, run_id, first, len(fields), *fields, *records
        )
        if not there:
            raise CursorLost

    async def runs(self) -> None:
        """Write the runs without a log."""
        for run_id in list(self._left):
            await self.records(Records(run_id, 1, ()))


def _moved_from(reply: Sequence[Any], age: int, name: ChatName) -> MovedRun:
    """A run from {run, fields, next}, the milliseconds since its end, and its chat."""
    run, (_, flat, after_log) = run_from(reply), reply
    run = structs.replace(run, owner=name.owner)  # layout 1 does not have it with the run
    fields = dict(pairs(flat))
    next_seq = int(fields[b"next"]) if run.status.ended else after_log
    return MovedRun(at_rest(run), fields[b"content"].decode(), next_seq, next_seq == after_log, age)


def _fields(name: str, moved: MovedRun) -> list[str | int]:
    """The fields of a run's hash; the last script adds its number."""
    run: Run = moved.run
    spans = " ".join(f"{first}:{epoch.number}:{epoch.token}" for first, epoch in run.spans)
    fields: dict[str, str | int] = {
        "chat": name, "prompt": run.prompt_id, "answer": run.message_id, "model": run.model,
        "created": run.created_at, "key": run.key or "", "content": moved.content,
        "status": run.status, "epoch": run.epoch.number, "token": run.epoch.token,
        "takeovers": run.takeovers, "spans": spans,
    }  # fmt: skip
    if run.started_at is not None:
        fields["started"] = run.started_at
    if run.ended_at is not None:
        fields |= {"ended": run.ended_at, "next": moved.next_seq}
    return [part for field in fields.items() for part in field]


def _tree_entry(message: Message) -> str:
    return f"{message.role}|{message.parent or ''}|{message.created_at}|{message.run_id or ''}"
