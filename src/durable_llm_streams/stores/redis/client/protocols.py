"""What the store needs of Redis: scripts are called, channels are subscribed to.

`Database` implements this over connections. Everything above it works with any implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from .address import Node, RedisAddress
from .connection import Word
from .script import Script

OnMessage = Callable[[bytes, bytes], None]


class Subscription(Protocol):
    """Receives messages until it ends. One that has ended stays so: make a new one."""

    async def subscribe(self, *channels: str | bytes) -> None:
        """Receive what is published in the channels from now on. It may be repeated.

        Raises:
            StoreUnavailable: the connection has ended, or Redis refuses the channels.
        """
        ...

    async def unsubscribe(self, *channels: str | bytes) -> None:
        """Receive nothing more of the channels, once it returns.

        Raises:
            StoreUnavailable: the connection has ended.
        """
        ...

    async def listen(self, on_message: OnMessage) -> NoReturn:
        """Receive messages for as long as the connection lives.

        Args:
            on_message: called with the channel and the payload of each, in their order, from the
                event loop's callbacks; it must be quick and must not raise.

        Raises:
            StoreUnavailable: the connection has ended; messages may have been missed.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class RedisClient(Protocol):
    """Runs scripts and single commands, and subscribes."""

    address: RedisAddress

    async def call(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Word]) -> Any:
        """Run a script. It may run twice: every script must allow that.

        Args:
            script: what to run.
            keys: its KEYS; all in the hash slot of the first.
            args: its ARGV.

        Returns:
            The reply: bytes, int, None, or a list of them.

        Raises:
            StoreUnavailable: Redis cannot do it now; whether it did is unknown.
            ResponseError: the script is wrong.
        """
        ...

    async def command(self, *args: Word, node: Node | None = None) -> Any:
        """Run one command. It may run twice. Errors are not translated.

        Args:
            args: the command's words.
            node: a server of a Cluster; without it, any.

        Raises:
            RedisError: it could not be sent, was not answered, or was refused.
        """
        ...

    async def masters(self) -> Sequence[Node | None]:
        """The servers that hold keys, for `command`; `[None]` where there is only one.

        Raises:
            RedisError: the Cluster's servers could not be asked.
        """
        ...

    async def subscriber(self) -> Subscription:
        """A new connection for messages. The caller closes it.

        Raises:
            StoreUnavailable: Redis cannot be reached now.
        """
        ...

    async def close(self) -> None:
        """Close all connections but the subscribers'."""
        ...
