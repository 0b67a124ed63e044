"""Chats and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from durable_llm_streams.model import Chat, Message, Run

from .log import Page


class Snapshot(NamedTuple):
    """A chat at one moment.

    Attributes:
        messages: the branch that ends at the asked message, oldest first. The last one's body is
            empty while its run is active.
        versions: every message of the chat as (id, parent, role), oldest first.
        run: the chat's active run (the oldest, when several wait), on whatever branch it writes.
        log: that run's whole log.
    """

    chat: Chat
    messages: Sequence[Message]
    versions: Sequence[tuple[str, str | None, str]]
    run: Run | None
    log: Page | None


class ChatPage(NamedTuple):
    """Chats, newest first. `more` is the token for the next page, or None at the end."""

    chats: Sequence[Chat]
    more: str | None


class ChatStore(Protocol):
    """Reads, renames and deletes chats."""

    async def snapshot(self, owner: str, chat_id: str, leaf: str | None = None) -> Snapshot:
        """A chat with its messages and its active run's log, as of one moment.

        Args:
            owner: whose chat it must be.
            chat_id: the chat.
            leaf: the message whose branch to show (down to its newest descendant); None: the head.

        Raises:
            ChatNotFound: no such chat of this owner.
            MessageNotFound: no such leaf in it.
        """
        ...

    async def thread(self, run_id: str) -> Sequence[Message]:
        """The messages that a run answers, oldest first, its prompt last.

        Raises:
            RunNotFound: no such run.
        """
        ...

    async def page(
        self, owner: str, *, query: str = "", limit: int = 30, more: str | None = None
    ) -> ChatPage:
        """An owner's chats, by updated_at, newest first.

        Args:
            owner: whose.
            query: only those whose title holds this, whatever the case.
            limit: how many at most.
            more: the token of the page before.

        Raises:
            InvalidPageToken: `more` is not the token of a page.
        """
        ...

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat:
        """Set a chat's title. Raises ChatNotFound."""
        ...

    async def delete(self, owner: str, chat_id: str) -> None:
        """Delete a chat with its messages, runs and logs. Atomic.

        The writer of one of its runs is fenced; a reader of one gets RunNotFound.

        Raises:
            ChatNotFound: no such chat of this owner.
        """
        ...
