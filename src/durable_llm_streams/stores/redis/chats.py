"""Chats and their history on Redis."""

from __future__ import annotations

import re
from collections.abc import Sequence

from typing_extensions import override

from durable_llm_streams.errors import InvalidPageToken
from durable_llm_streams.model import Chat, Message
from durable_llm_streams.store import ChatPage, ChatStore, Snapshot

from . import scripts
from .pages import page_from
from .partitions import Partitions
from .replies import accepted, chat_from, messages_from, run_from, versions_from

_SEARCHED_AT_ONCE = 200


class RedisChats(ChatStore):
    """Chats on Redis.

    Args:
        partitions: where they are.
    """

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    @override
    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        partition = self._partitions.of_chat(owner, chat_id)
        reply = await partition.call(scripts.SNAPSHOT, owner, chat_id, leaf or "")
        chat_reply, versions, branch, run_reply, log = accepted(reply)
        chat = chat_from(chat_reply)
        found = versions_from(versions)
        messages = messages_from(branch)
        if not run_reply:
            return Snapshot(chat, messages, found, None, None)
        run = run_from(run_reply)
        self._partitions.remember(run.id, partition)
        return Snapshot(chat, messages, found, run, page_from(log, 0))

    @override
    async def thread(self, run_id: str) -> Sequence[Message]:
        partition = await self._partitions.of_run(run_id)
        (branch,) = accepted(await partition.call(scripts.THREAD, run_id))
        return messages_from(branch)

    @override
    async def page(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
        # Titles are compared here: Lua folds the case of ASCII letters only.
        place = _read_token(more)
        wanted = query.casefold()
        at_once = max(limit + 1, _SEARCHED_AT_ONCE) if wanted else limit + 1
        found: list[Chat] = []
        while len(found) <= limit:
            chats = await self._after(owner, place, at_once)
            found += [chat for chat in chats if wanted in chat.title.casefold()]
            if len(chats) < at_once:
                break
            place = (str(chats[-1].updated_at), chats[-1].id)
        last = found[limit - 1] if len(found) > limit else None
        token = None if last is None else f"{last.updated_at}.{last.id}"
        return ChatPage(found[:limit], token)

    async def _after(self, owner: str, place: tuple[str, str], count: int) -> list[Chat]:
        """The next chats of an owner after a place, from all partitions."""
        replies = await self._partitions.call_all(scripts.CHATS, owner, *place, count)
        chats = [chat_from(chat) for reply in replies for chat in reply]
        chats.sort(key=lambda chat: (chat.updated_at, chat.id), reverse=True)
        return chats[:count]

    @override
    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        partition = self._partitions.of_chat(owner, chat_id)
        (chat,) = accepted(await partition.call(scripts.RENAME, owner, chat_id, title))
        return chat_from(chat)

    @override
    async def delete(self, owner: str, chat_id: str) -> None:
        partition = self._partitions.of_chat(owner, chat_id)
        accepted(await partition.call(scripts.DELETE, owner, chat_id))


def _read_token(more: str | None) -> tuple[str, str]:
    if more is None:
        return "+inf", ""
    match = re.fullmatch(r"(\d{1,15})\.([A-Za-z0-9_.:~-]{1,128})", more, re.ASCII)
    if match is None:
        raise InvalidPageToken
    return match[1], match[2]
