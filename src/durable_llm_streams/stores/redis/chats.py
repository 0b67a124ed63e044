"""Chats and their messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import Chat, Message
from durable_llm_streams.store import ChatPage, Snapshot
from durable_llm_streams.stores.seen_time import Watch

from . import scripts
from .context import Shared, milliseconds
from .log import page_from
from .replies import accepted, chat_from, messages_from, run_from, versions_from

_SEARCHED_AT_ONCE = 200


class Chats:
    """The chats of a store.

    Args:
        shared: see `Shared`.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._watches: dict[str, Watch] = {}  # by partition

    async def snapshot(self, owner: str, chat_id: str, leaf: str | None) -> Snapshot:
        """See `ChatStore.snapshot`."""
        partitions = self._shared.partitions
        root = partitions.of_chat(chat_id)
        reply = await self._shared.call(scripts.SNAPSHOT, root, owner, chat_id, leaf or "")
        about, versions, branch, run_reply, stretch = accepted(reply)
        chat = chat_from(about)
        found = versions_from(versions)
        messages = messages_from(branch)
        if not run_reply:
            return Snapshot(chat, messages, found, None, None)
        run = run_from(run_reply)
        partitions.remember(run.id, root)
        return Snapshot(chat, messages, found, run, page_from(stretch, 0))

    async def thread(self, run_id: str) -> Sequence[Message]:
        """See `ChatStore.thread`."""
        root = await self._shared.partitions.of_run(run_id)
        (branch,) = accepted(await self._shared.call(scripts.THREAD, root, run_id))
        return messages_from(branch)

    async def chats(self, owner: str, query: str, limit: int, more: str | None) -> ChatPage:
        """See `ChatStore.chats`. Titles are compared here: Lua knows no letters beyond ASCII."""
        place = _read_token(more)
        wanted = query.casefold()
        at_once = max(limit + 1, _SEARCHED_AT_ONCE) if wanted else limit + 1
        found: list[Chat] = []
        while len(found) <= limit:
            part = await self._behind(owner, place, at_once)
            found += [chat for chat in part if wanted in chat.title.casefold()]
            if len(part) < at_once:
                break
            place = (str(part[-1].updated_at), part[-1].id)
        last = found[limit - 1] if len(found) > limit else None
        token = None if last is None else f"{last.updated_at}.{last.id}"
        return ChatPage(found[:limit], token)

    async def _behind(self, owner: str, place: tuple[str, str], count: int) -> list[Chat]:
        """The next chats of an owner behind a place, of all partitions."""
        parts = await self._shared.call_all(scripts.CHATS, owner, *place, count)
        chats = [chat_from(reply) for part in parts for reply in part]
        chats.sort(key=lambda chat: (chat.updated_at, chat.id), reverse=True)
        return chats[:count]

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """See `ChatStore.rename`."""
        root = self._shared.partitions.of_chat(chat_id)
        (chat,) = accepted(await self._shared.call(scripts.RENAME, root, owner, chat_id, title))
        return chat_from(chat)

    async def delete(self, owner: str, chat_id: str) -> None:
        """See `ChatStore.delete`."""
        root = self._shared.partitions.of_chat(chat_id)
        accepted(await self._shared.call(scripts.DELETE, root, owner, chat_id))

    async def expire(self, log_age: float, chat_age: float) -> int:
        """See `Store.expire`. One jump of the clock is logged once, not for each partition."""
        shared = self._shared
        record_age = max(shared.retention.record, log_age)
        gone, logged = 0, False
        for root in shared.partitions.roots:
            watch = self._watches.setdefault(root, Watch(shared.monotonic, "The clock of Redis"))
            look = watch.look(log_age, chat_age)
            went, before, wall = await shared.call(
                scripts.EXPIRE,
                root,
                milliseconds(log_age),
                milliseconds(chat_age) if chat_age > 0 else "",
                milliseconds(record_age),
                shared.clock,
                look.most,
            )
            gone += went
            logged |= watch.looked(look, int(wall), int(before), quiet=logged)
        return gone


def _read_token(more: str | None) -> tuple[str, str]:
    if more is None:
        return "+inf", ""
    match = re.fullmatch(r"(\d{1,15})\.([A-Za-z0-9_.:~-]{1,128})", more, re.ASCII)
    if match is None:
        raise InvalidRequest("`before` is not a token of this list. Use `next` of the page before.")
    return match[1], match[2]
