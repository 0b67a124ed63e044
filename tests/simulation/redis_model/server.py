"""A model of one Redis server, without sockets, threads or a clock of its own.

Theory of operation
===================
1. A step is one command or one script. Nothing comes in between, and the clock stands meanwhile.
2. Replies are those that the product's client gets from a real server; `test_redis_model` and
   `test_redis_model_scripts` compare them. Hashes keep the order in which their fields came, as
   small ones do in Redis.
3. A published message reaches its subscribers within the step, in the order of their subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from durable_llm_streams.stores.redis.client.protocols import OnMessage
from durable_llm_streams.stores.redis.client.script import Script

from .commands import COMMANDS
from .keyspace import ErrorReply, Keyspace, List, Reply, SortedSet, State
from .scripting import lua


class ModelRedis:
    """One server.

    Args:
        clock: its wall clock, in milliseconds since 1970 UTC.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._keys = Keyspace()
        self._subscribers: dict[bytes, dict[OnMessage, None]] = {}

    # --- steps -------------------------------------------------------------------------------

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        self._keys.begin(self.clock())
        return lua().run(script, keys, args, self._execute)

    def command(self, *words: bytes) -> Reply:
        """Run a command that is not part of a script. Raises ErrorReply."""
        if words[0] == b"PING":
            return b"PONG"
        if words[0] == b"INFO":
            raise ErrorReply("NOPERM the model does not describe itself")
        if words[0] == b"EVAL":
            return self.run(Script("eval", words[1].decode()), (), ())
        self._keys.begin(self.clock())
        return self._execute(words)

    def _execute(self, words: Sequence[bytes]) -> Reply:
        name = words[0]
        if name == b"PUBLISH":
            return self._publish(*words[1:])
        command = COMMANDS.get(name)
        assert command is not None, f"the model needs the command {name.decode()}: add it"
        return command(self._keys, *words[1:])

    # --- messages ----------------------------------------------------------------------------

    def subscribe(self, channel: bytes, receive: OnMessage) -> None:
        """Call something with what is published from now on. Again is no error."""
        self._subscribers.setdefault(channel, {})[receive] = None

    def unsubscribe(self, channel: bytes, receive: OnMessage) -> None:
        """Stop that. Again is no error."""
        self._subscribers.get(channel, {}).pop(receive, None)

    def _publish(self, channel: bytes, payload: bytes) -> int:
        receivers = list(self._subscribers.get(channel, ()))
        for receive in receivers:
            receive(channel, payload)
        return len(receivers)

    # --- what tests look at ------------------------------------------------------------------

    def log(self, root: str, run_id: str) -> list[bytes]:
        """The records of a run's log; nothing when there is none."""
        records: List | None = self.look().get(f"{root}:log:{run_id}".encode(), list)
        return list(records or ())

    def scores(self, key: str) -> dict[str, float]:
        """The members of a sorted set, the lowest first; nothing when there is none."""
        members = self.look().get(key.encode(), SortedSet) or SortedSet()
        return {member.decode(): score for score, member in members.order}

    def keys(self) -> list[str]:
        return [key.decode() for key in self.look().values]

    def ttl(self, key: str) -> int | None:
        """The milliseconds until a key expires; None is never."""
        deadline = self.look().deadline(key.encode())
        return None if deadline is None else deadline - self._keys.now

    def look(self) -> Keyspace:
        self._keys.begin(self.clock())
        return self._keys

    # --- all at once -------------------------------------------------------------------------

    def snapshot(self) -> State:
        """All data as of now, for `restore`."""
        return self.look().copy()

    def restore(self, state: State) -> None:
        """Have the data as of then again. Connections are the business of `ModelNetwork`."""
        self._keys.replace(state)
