"""What is known of owners: their feeds, requests for foreign chats, the versions of messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .violation import Violation


class Change(NamedTuple):
    """A change of an owner's chats that the store has acknowledged.

    Attributes:
        kind: as in the feed's events.
        about: the run that started or ended, the new title, or "".
        at: when the acknowledgement arrived, in the loop's time.
        began: when the call began that made it.
    """

    owner: str
    kind: str
    chat: str
    about: str
    at: float
    began: float


class FeedEvent(NamedTuple):
    """An event of a feed, as a subscriber received it.

    Attributes:
        position: its id.
        data: its content.
        came: when, in the loop's time.
        since: when the connection began that brought it.
    """

    position: str
    data: Mapping[str, Any]
    came: float
    since: float

    @property
    def kind(self) -> str:
        return str(self.data["type"])

    @property
    def chat(self) -> str:
        """The id of the chat that it is about."""
        row = self.data.get("chat")
        return str(row["id"] if row else self.data.get("id", ""))

    @property
    def about(self) -> str:
        """As `Change.about`."""
        if self.kind == "chat-renamed":
            return str(self.data["chat"]["title"])
        return str(self.data.get("run", ""))


@dataclass
class FeedReading:
    """What one subscriber received of an owner's feed.

    Attributes:
        who, owner: the subscriber, and the feed's owner.
        events: since the chats were last listed; older ones are no longer evidence.
        listed: when the last list was asked for; None before the first one.
        rows: the list of chats, kept up to date by the events, by id.
        position: the id of the last event.
        opens: how often the feed was opened, and how often something had been missed.
        error: what broke the protocol, at the moment when it came.
    """

    who: str
    owner: str
    events: list[FeedEvent] = field(default_factory=list)
    listed: float | None = None
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    position: str = ""
    opens: int = 0
    missed: int = 0
    error: Violation | None = None


class Trespass(NamedTuple):
    """A request for another owner's chat.

    Attributes:
        who: the visitor, with the request.
        status, body: what was answered.
        allowed: the statuses that a chat which does not exist is answered with.
    """

    who: str
    status: int
    body: bytes
    allowed: frozenset[int]


class Look(NamedTuple):
    """A look at something that has its retention.

    Attributes:
        what: the log of an answer, a chat, ...
        since, until: when the look began and ended, in the loop's time.
        earliest, latest: between these times it must go.
        status: 200 where it was there whole; else what was answered.
        gone: the statuses that say that it is gone.
    """

    what: str
    since: float
    until: float
    earliest: float
    latest: float
    status: int
    gone: frozenset[int]


class Node(NamedTuple):
    """A message of a chat, as the store holds it.

    Attributes:
        text: of a user's message; None where it was not read.
    """

    parent: str | None
    role: str
    text: str | None = None


class Sent(NamedTuple):
    """A user's message that a server accepted.

    Attributes:
        edited: the message that it is a version of, or None.
    """

    chat: str
    id: str
    text: str
    edited: str | None = None
