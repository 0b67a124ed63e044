"""Who is connected, and who hears of what: publishing and subscribing."""

from __future__ import annotations

from collections.abc import Callable

from .command import Words, unknown_subcommand
from .keyspace import Keyspace
from .values import Reply, encoded


class Client:
    """A connection, as the server sees it.

    Args:
        name: whose it is.
        push: takes the bytes of a message to it.

    Attributes:
        channels: what it has subscribed to, the oldest first.
    """

    __slots__ = ("channels", "name", "push")

    def __init__(self, name: str, push: Callable[[bytes], None]) -> None:
        self.name = name
        self.push = push
        self.channels: dict[bytes, None] = {}


class Channels:
    """The subscriptions of all clients."""

    def __init__(self) -> None:
        self._receivers: dict[bytes, dict[Client, None]] = {}

    def publish(self, keys: Keyspace, words: Words) -> Reply:
        """PUBLISH: receivers get it within the step, in order of subscription."""
        _, channel, payload = words
        receivers = self._receivers.get(channel)
        if receivers is None:
            return 0
        message = encoded([b"message", channel, payload])
        for client in list(receivers):
            client.push(message)
        return len(receivers)

    def subscribe(self, client: Client, words: Words) -> bytes:
        """SUBSCRIBE; the confirmations as the protocol has them."""
        confirmed = b""
        for channel in words[1:]:
            client.channels[channel] = None
            self._receivers.setdefault(channel, {})[client] = None
            confirmed += encoded([b"subscribe", channel, len(client.channels)])
        return confirmed

    def unsubscribe(self, client: Client, words: Words) -> bytes:
        """UNSUBSCRIBE, from all channels where none is named."""
        channels = words[1:] or list(client.channels)
        if not channels:
            return encoded([b"unsubscribe", None, 0])
        confirmed = b""
        for channel in channels:
            if channel in client.channels:
                del client.channels[channel]
                self._leave(client, channel)
            confirmed += encoded([b"unsubscribe", channel, len(client.channels)])
        return confirmed

    def ping(self, client: Client, words: Words) -> bytes:
        """PING: who receives messages is answered in their form."""
        text = words[1] if len(words) > 1 else b""
        if client.channels:
            return encoded([b"pong", text])
        return encoded(text) if text else b"+PONG\r\n"

    def pubsub(self, keys: Keyspace, words: Words) -> Reply:
        """PUBSUB NUMSUB."""
        if words[1].upper() != b"NUMSUB":
            raise unknown_subcommand(words)
        counts: list[Reply] = []
        for channel in words[2:]:
            counts += (channel, len(self._receivers.get(channel, ())))
        return counts

    def forget(self, client: Client) -> None:
        """A client is gone."""
        for channel in client.channels:
            self._leave(client, channel)
        client.channels.clear()

    def _leave(self, client: Client, channel: bytes) -> None:
        receivers = self._receivers[channel]
        del receivers[client]
        if not receivers:
            del self._receivers[channel]
