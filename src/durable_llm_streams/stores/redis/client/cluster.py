"""A Redis Cluster: each key is on one of several masters, and may move.

Theory of operation
===================
1. Any server says which master holds which of the 16,384 slots (CLUSTER SLOTS). The first call asks
   for that map; it is asked for again when a server could not be reached or redirected a call.
2. Only calls to a server that could not be reached wait for the new map: another one may have
   taken its place. All others go on.
3. `MOVED` corrects the map. `ASK` is not followed: while a slot is moved, its keys are in two
   places, and a script needs all of them. The partition is unavailable until the move has ended.
4. A server that does not answer the question about the map is left for the next one in time.
"""

from __future__ import annotations

import asyncio
import binascii
import random
from functools import lru_cache, partial
from typing import Any

from typing_extensions import override

from .address import Node, RedisAddress
from .connect import Dialer
from .connection import pack
from .errors import RedisConnectionError, RedisError, RedisTimeoutError, ResponseError
from .server import Server, Topology

_SLOTS = pack("CLUSTER", "SLOTS")
_SLOT_COUNT = 16_384
_MOST_REDIRECTIONS = 5
_MAP_SECONDS = 1.0

Stretch = tuple[int, int, Node]


class Cluster(Topology):
    """The masters of a Cluster.

    Args:
        dialer: opens connections.
        address: some of the servers.
    """

    def __init__(self, dialer: Dialer, address: RedisAddress) -> None:
        self._dialer = dialer
        self._seeds = address.nodes
        self._map_seconds = min(_MAP_SECONDS, address.timeout / 3)
        self._servers: dict[Node, Server] = {}
        self._stretches: list[Stretch] = []
        self._moved: dict[int, Node] = {}
        #: Those that could not be reached since the map was made.
        self._suspects: set[Node] = set()
        self._mapping: asyncio.Task[None] | None = None
        self._closed = False

    @override
    async def ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        slot = None if key is None else slot_of(key)
        if not self._stretches or self._holder(slot) in self._suspects:
            await self._map(deadline)
        node = self._holder(slot)
        redirections = 0
        while True:
            try:
                return await self.ask_node(node, packed, deadline)
            except ResponseError as error:
                redirections += 1
                if error.code != "MOVED" or redirections > _MOST_REDIRECTIONS:
                    raise
                node = _elsewhere(str(error), node)
                if slot is not None:
                    self._moved[slot] = node
                    self._start_mapping()

    async def ask_node(self, node: Node, packed: bytes, deadline: float) -> Any:
        """Ask one server.

        Raises:
            RedisError: as `ask`; MOVED and ASK as well.
        """
        try:
            return await self._server(node).ask(None, packed, deadline)
        except (RedisConnectionError, RedisTimeoutError):
            self._suspects.add(node)
            raise

    async def masters(self, deadline: float) -> list[Node]:
        """The servers that hold slots.

        Raises:
            RedisError: no server could be asked.
        """
        await self._map(deadline)
        return sorted({node for _, _, node in self._stretches})

    @override
    async def any_node(self) -> Node | None:
        loop = asyncio.get_running_loop()
        # Made anew: the server that was chosen the last time may be why somebody asks again.
        await self._map(loop.time() + len(self._seeds) * self._map_seconds + 1)
        return self._some_master()

    @override
    async def close(self) -> None:
        self._closed = True
        if self._mapping is not None and not self._mapping.done():
            self._mapping.cancel()
            await asyncio.wait([self._mapping])
        servers = list(self._servers.values())
        self._servers.clear()
        for server in servers:
            await server.close()

    def _holder(self, slot: int | None) -> Node:
        if slot is None:
            return self._some_master()
        if slot in self._moved:
            return self._moved[slot]
        for first, last, node in self._stretches:
            if first <= slot <= last:
                return node
        raise ResponseError("CLUSTERDOWN Hash slot not served")

    def _some_master(self) -> Node:
        return random.choice(self._stretches)[2]  # noqa: S311  # it spreads load, no more

    def _server(self, node: Node) -> Server:
        if self._closed:
            raise RedisConnectionError("The connection was closed here.")
        server = self._servers.get(node)
        if server is None:
            server = self._servers[node] = Server(partial(self._dialer.dial, node))
        return server

    async def _map(self, deadline: float) -> None:
        """Wait for a new map. Callers that come meanwhile share the one attempt."""
        mapping = self._start_mapping()
        await asyncio.wait([mapping], timeout=deadline - asyncio.get_running_loop().time())
        if not mapping.done():
            raise RedisTimeoutError("No server of the Cluster could be reached in time.")
        if mapping.cancelled():  # by `close`; a caller must not take this for its own cancellation
            raise RedisConnectionError("The connection was closed here.")
        mapping.result()

    def _start_mapping(self) -> asyncio.Task[None]:
        if self._mapping is None or self._mapping.done():
            self._mapping = asyncio.create_task(self._learn())
            self._mapping.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._mapping

    async def _learn(self) -> None:
        candidates = [*dict.fromkeys((*self._servers, *self._seeds))]
        random.shuffle(candidates)
        candidates.sort(key=self._suspects.__contains__)
        loop = asyncio.get_running_loop()
        failure: Exception = RedisConnectionError("The address names no server.")
        for node in candidates:
            try:
                deadline = loop.time() + self._map_seconds
                reply = await self._server(node).ask(None, _SLOTS, deadline)
            except RedisError as error:
                failure = error
                continue
            stretches = read_slots(reply, node)
            if stretches:
                await self._adopt(stretches)
                return
            failure = ResponseError("CLUSTERDOWN Hash slot not served")
        raise failure

    async def _adopt(self, stretches: list[Stretch]) -> None:
        self._stretches = stretches
        self._moved.clear()
        self._suspects.clear()
        masters = {node for _, _, node in stretches}
        for node in [node for node in self._servers if node not in masters]:
            await self._servers.pop(node).close()


@lru_cache(maxsize=1024)
def slot_of(key: bytes | str) -> int:
    """The hash slot of a key; of one with `{…}` in it, that of the part in the braces.

    CRC16-XMODEM modulo 16,384, see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
    """
    data = key.encode() if isinstance(key, str) else key
    begin = data.find(b"{")
    end = data.find(b"}", begin + 1)
    if begin >= 0 and end > begin + 1:
        data = data[begin + 1 : end]
    return binascii.crc_hqx(data, 0) % _SLOT_COUNT


def read_slots(reply: Any, asked: Node) -> list[Stretch]:
    """First slot, last slot and master of each stretch in a reply to CLUSTER SLOTS.

    Args:
        reply: as hiredis has it.
        asked: who replied: a server that does not know its own name means itself.
    """
    stretches: list[Stretch] = []
    for first, last, master, *_replicas in reply:
        host = (master[0] or b"").decode()
        node = Node(host if host not in ("", "?") else asked.host, int(master[1]))
        stretches.append((int(first), int(last), node))
    return stretches


def _elsewhere(refusal: str, asked: Node) -> Node:
    """The server that `MOVED 3999 127.0.0.1:6381` names."""
    host, _, port = refusal.split()[2].rpartition(":")
    return Node(host.strip("[]") if host not in ("", "?") else asked.host, int(port))
