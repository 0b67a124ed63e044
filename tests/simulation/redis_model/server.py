"""A model of one Redis server, without sockets, threads or a clock of its own.

Theory of operation
===================
1. A step is one command or one script. Nothing comes in between, and the clock stands meanwhile.
2. Replies and errors are those of Redis 7.0, byte for byte; `test_redis_model` compares them with a
   real one. Hashes keep the order in which their fields came, as small ones do there.
3. What is published reaches its subscribers' connections within the step, in order of subscription.
4. Who wants to look at the data after every step that wrote asks by `on_write`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .collection_commands import COLLECTIONS
from .command import Command, Words, reading, unknown_subcommand, wrong_arity
from .facts import config, info
from .key_commands import KEYS
from .keyspace import Keyspace, State
from .messages import Channels, Client
from .scripting import Script, lua
from .sorted_set_commands import SORTED_SETS
from .values import NOT_AN_INTEGER, OK, ErrorReply, Reply, encoded, encoded_error, integer

_COMMANDS = KEYS | COLLECTIONS | SORTED_SETS

#: Called after a step that wrote: whose connection it was, and the keys that it wrote to.
OnWrite = Callable[[str, Sequence[bytes]], None]

_UNKNOWN_SCRIPT = b"NOSCRIPT No matching script. Please use EVAL."
_NOT_FROM_SCRIPTS = b"ERR This Redis command is not allowed from script"
_WRITES_REFUSED = b"ERR Write commands are not allowed from read-only scripts."
_FULL = b"OOM command not allowed when used memory > 'maxmemory'."
_REPLICA = b"READONLY You can't write against a read only replica."
_LOADING = b"LOADING Redis is loading the dataset in memory"

_ONLY_MESSAGES = (
    b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
    b"are allowed in this context"
)

_WHILE_LOADING = frozenset((b"INFO", b"CONFIG", b"ROLE", b"SUBSCRIBE", b"UNSUBSCRIBE", b"PUBLISH"))
_WHILE_SUBSCRIBED = frozenset((b"SUBSCRIBE", b"UNSUBSCRIBE", b"PING"))


class ModelRedis:
    """One server.

    Args:
        clock: its wall clock, in milliseconds since 1970 UTC.

    Attributes:
        full: whether it has reached its limit of memory.
        replica: whether it only follows another server.
        loading: whether it is still reading its data from the disk.
        connections: the clients, the oldest first.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.full = False
        self.replica = False
        self.loading = False
        self.connections: dict[Client, None] = {}
        self._keys = Keyspace()
        self._channels = Channels()
        self._scripts: dict[bytes, Script] = {}
        self._running: Script | None = None
        self._written: dict[bytes, None] = {}
        self._on_write: list[OnWrite] = []
        self._commands = _COMMANDS | {
            b"PUBLISH": Command(self._channels.publish, 3),
            b"INFO": reading(info, -1),
            b"CONFIG": Command(config, -2, scripted=False),
            b"ROLE": Command(self._role, 1, scripted=False),
            b"PUBSUB": reading(self._channels.pubsub, -2),
            b"SCRIPT": Command(self._script, -2, scripted=False),
        }
        self._of_connections: dict[bytes, tuple[int, Callable[[Client, Words], bytes]]] = {
            b"EVALSHA": (3, self._evalsha),
            b"EVAL": (3, self._eval),
            b"PING": (1, self._channels.ping),
            b"SUBSCRIBE": (2, self._channels.subscribe),
            b"UNSUBSCRIBE": (1, self._channels.unsubscribe),
        }

    # --- connections -------------------------------------------------------------------------

    def connect(self, name: str, push: Callable[[bytes], None]) -> Client:
        """A new connection. See `Client`."""
        client = Client(name, push)
        self.connections[client] = None
        return client

    def disconnect(self, client: Client) -> None:
        """A connection has ended. Again is no error."""
        self.connections.pop(client, None)
        self._channels.forget(client)

    def execute(self, client: Client, words: Words) -> bytes:
        """Do one step.

        Args:
            client: whose command it is.
            words: the command.

        Returns:
            The reply as the protocol has it.
        """
        self._keys.begin(self.clock())
        try:
            return self._answer(client, words)
        except ErrorReply as error:
            return encoded_error(error.text)
        finally:
            if self._written:
                written, self._written = list(self._written), {}
                for told in self._on_write:
                    told(client.name, written)

    def _answer(self, client: Client, words: Words) -> bytes:
        name = words[0].upper()
        if self.loading and name not in _WHILE_LOADING:
            raise ErrorReply(_LOADING)
        if client.channels and name not in _WHILE_SUBSCRIBED:
            raise ErrorReply(_ONLY_MESSAGES % name.lower())
        of_connections = self._of_connections.get(name)
        if of_connections is None:
            return encoded(self._run(words))
        least, handle = of_connections
        if len(words) < least:
            raise wrong_arity(name)
        return handle(client, words)

    # --- for those who look on ---------------------------------------------------------------

    def on_write(self, told: OnWrite) -> None:
        """Have something called after each step that wrote, at once. See `OnWrite`."""
        self._on_write.append(told)

    def log(self, root: str, run_id: str) -> list[bytes]:
        """The records of a run's log; nothing when there is none.

        Args:
            root: of the partition, such as `{dls:0}`.
            run_id: the run.
        """
        return list(self._look().list(f"{root}:log:{run_id}".encode()) or ())

    def run_fields(self, root: str, run_id: str) -> dict[str, str]:
        """The fields of a run's record; nothing when there is none. See `log`."""
        return self.fields(f"{root}:run:{run_id}")

    def fields(self, key: str) -> dict[str, str]:
        """A hash that holds texts; nothing when there is none."""
        fields = self._look().hash(key.encode()) or {}
        return {name.decode(): value.decode() for name, value in fields.items()}

    def scores(self, key: str) -> dict[str, float]:
        """The members of a sorted set, the lowest first; nothing when there is none."""
        members = self._look().sorted_set(key.encode())
        order = [] if members is None else members.order
        return {member.decode(): score for score, member in order}

    def keys(self) -> list[str]:
        """All keys."""
        return [key.decode() for key in self._look().names()]

    def ttl(self, key: str) -> int | None:
        """The milliseconds that a key still lives; None is for ever."""
        deadline = self._look().deadline(key.encode())
        return None if deadline is None else deadline - self._keys.now

    def _look(self) -> Keyspace:
        self._keys.begin(self.clock())
        return self._keys

    # --- what may happen to a server ---------------------------------------------------------

    def snapshot(self) -> State:
        """All data as of now, for `restore`."""
        return self._keys.copy()

    def restore(self, state: State) -> None:
        """Start again, or be succeeded by a replica, with the data as of then.

        It knows no scripts; the connections are not its business, see `ModelNetwork.restart`.
        """
        self._keys.replace(state)
        self.forget_scripts()

    def forget_scripts(self) -> None:
        """As after SCRIPT FLUSH."""
        self._scripts.clear()

    # --- commands ----------------------------------------------------------------------------

    def _run(self, words: Words) -> Reply:
        """A command, of a client or of the script that runs."""
        name = words[0]
        command = self._commands.get(name) or self._commands.get(name.upper())
        if command is None or not command.takes(len(words)):
            raise self._misused(command, words)
        if not command.harmless:
            self._refuse(command, self._running)
            if command.only_keys:
                self._written.update(dict.fromkeys(words[1:]))
            elif command.writes:
                self._written[words[1]] = None
        return command.run(self._keys, words)

    def _refuse(self, command: Command, script: Script | None) -> None:
        """Scripts that say in their first line what they do were refused, or not, as a whole."""
        if script is not None:
            if not command.scripted:
                raise ErrorReply(_NOT_FROM_SCRIPTS)
            if script.only_reads:
                raise ErrorReply(_WRITES_REFUSED)
        if self.full and command.grows and (script is None or script.flags is None):
            raise ErrorReply(_FULL)
        if self.replica and command.writes:
            raise ErrorReply(_REPLICA)

    def _misused(self, command: Command | None, words: Words) -> ErrorReply:
        if self._running is not None:
            if words[0].upper() in self._of_connections:
                return ErrorReply(_NOT_FROM_SCRIPTS)
            if command is None:
                return ErrorReply(b"ERR Unknown Redis command called from script")
            return ErrorReply(b"ERR Wrong number of args calling Redis command from script")
        if command is not None:
            return wrong_arity(words[0])
        shown = b"".join(b"'%b' " % word[:128] for word in words[1:])
        return ErrorReply(
            b"ERR unknown command '%b', with args beginning with: %b" % (words[0][:128], shown)
        )

    # --- scripts -----------------------------------------------------------------------------

    def _evalsha(self, client: Client, words: Words) -> bytes:
        script = self._scripts.get(words[1].lower())
        if script is None:
            _key_count(words)
            raise ErrorReply(_UNKNOWN_SCRIPT)
        return self._evaluate(script, words)

    def _eval(self, client: Client, words: Words) -> bytes:
        _key_count(words)
        return self._evaluate(self._loaded(words[1]), words)

    def _loaded(self, text: bytes) -> Script:
        script = lua().script(text)
        self._scripts[script.sha] = script
        return script

    def _evaluate(self, script: Script, words: Words) -> bytes:
        end = 3 + _key_count(words)
        flags = script.flags
        if flags is not None and "no-writes" not in flags:
            if self.replica:
                raise ErrorReply(_REPLICA)
            if self.full and "allow-oom" not in flags:
                raise ErrorReply(_FULL)
        self._running = script
        try:
            return lua().run(script, words[3:end], words[end:], self._run)
        finally:
            self._running = None

    def _script(self, keys: Keyspace, words: Words) -> Reply:
        action = words[1].upper()
        if action == b"LOAD" and len(words) == 3:
            return self._loaded(words[2]).sha
        if action == b"EXISTS" and len(words) > 2:
            return [int(sha.lower() in self._scripts) for sha in words[2:]]
        if action == b"FLUSH":
            self.forget_scripts()
            return OK
        raise unknown_subcommand(words)

    # --- the server itself -------------------------------------------------------------------

    def _role(self, keys: Keyspace, words: Words) -> Reply:
        if self.replica:
            return [b"slave", b"127.0.0.1", 6379, b"connected", 0]
        return [b"master", 0, []]


def _key_count(words: Words) -> int:
    count = integer(words[2], NOT_AN_INTEGER)
    if count > len(words) - 3:
        raise ErrorReply(b"ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise ErrorReply(b"ERR Number of keys can't be negative")
    return count
