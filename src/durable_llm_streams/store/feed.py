"""The feed of an owner: what happens to their chats, while it happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from durable_llm_streams.model import Chat, Status

#: How many changes of an owner are kept at most: the newest ones.
FEED_LENGTH = 100


ChangeKind = Literal["chat-created", "chat-renamed", "chat-deleted", "run-started", "run-ended"]


class Change(Struct, frozen=True, kw_only=True):
    """Something that happened to an owner's chats.

    Attributes:
        position: the feed's position after it.
        chat: the chat as the change left it; None when it was deleted.
        run_id, message_id: the run that started or ended, and its answer.
        status: how the run ended.
    """

    kind: ChangeKind
    position: str
    chat_id: str
    chat: Chat | None = None
    run_id: str | None = None
    message_id: str | None = None
    status: Status | None = None


class Changes(Struct, frozen=True):
    """A consecutive part of an owner's feed.

    Attributes:
        changes: oldest first, maybe none.
        position: the feed's position after them: the next `after`.
        complete: whether these are all changes since `after`. If not there are none, and the
            subscriber must list the chats again.
    """

    changes: Sequence[Change]
    position: str
    complete: bool


class FeedStore(Protocol):
    """Reads feeds."""

    async def changes(self, owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        """What happened since a position.

        `send` publishes a new chat and its run (which may wait for its turn), `end` the run's end;
        renaming, deleting and retention publish what they did to chats. Duplicates publish nothing.
        The deletion of a chat removes its earlier changes, which have its title.
        A change is published after its commit, in the order of the commits: a subscriber that then
        reads the chats finds its effect. At most `FEED_LENGTH` changes come at once.

        Args:
            owner: whose; no other owner's changes are returned.
            after: the subscriber's position. None, a position of an earlier store, one that is
                too old, and invalid text: no changes are returned, only the present position, and
                `complete` is False.
            wait: the timeout in seconds when there are no changes. Coarse: up to a second more.
        """
        ...
