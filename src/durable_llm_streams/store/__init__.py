"""The contract between the program and its database: `Store` and the values that it works with."""

from .chats import ChatPage, ChatStore, Snapshot
from .feed import FEED_LENGTH, Change, ChangeKind, Changes, FeedStore
from .limits import take
from .log import PAGE_BYTES, Append, Ending, LogReader, LogStore, Page
from .pace import Pace
from .runs import Bounds, Order, RunList, RunStore, Sent
from .store import Retention, Store
from .visitors import Link, VisitorStore

__all__ = [
    "FEED_LENGTH",
    "PAGE_BYTES",
    "Append",
    "Bounds",
    "Change",
    "ChangeKind",
    "Changes",
    "ChatPage",
    "ChatStore",
    "Ending",
    "FeedStore",
    "Link",
    "LogReader",
    "LogStore",
    "Order",
    "Pace",
    "Page",
    "Retention",
    "RunList",
    "RunStore",
    "Sent",
    "Snapshot",
    "Store",
    "VisitorStore",
    "take",
]
