"""Looking at a Redis before it is trusted with answers.

`examine` asks what can be asked and tries what can be tried: it connects, writes and deletes keys
of its own with every command that the scripts use, and subscribes to a channel.
"""

from __future__ import annotations

from collections.abc import Iterable

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.finding import Finding
from durable_llm_streams.stores.redis.client.address import Node, RedisAddress
from durable_llm_streams.stores.redis.client.connection import pairs
from durable_llm_streams.stores.redis.client.errors import RedisError, ResponseError
from durable_llm_streams.stores.redis.client.failures import code, unavailable
from durable_llm_streams.stores.redis.client.protocols import RedisClient
from durable_llm_streams.stores.redis.partitions import VERSION, partition_root, store_root
from durable_llm_streams.stores.redis.scripts import PERMISSIONS

from .dangers import PARAMETERS, findings, read_info, unfit
from .permissions import missing, refused_commands
from .unusable import why_unusable

__all__ = ["Finding", "examine"]

_DENIED = ("NOPERM",)


class _Unfit(Exception):
    """The server can be no store; the text says why."""


async def examine(database: RedisClient) -> list[Finding]:
    """What is wrong, dangerous or good to know about a server, the worst first.

    Args:
        database: what to look at.

    Returns:
        A fatal finding stands alone: nothing else was looked at then.

    Raises:
        StoreUnavailable: its state passes by itself (it is loading, failing over, or too busy).
    """
    try:
        try:
            found = await _look(database)
        except RedisError as error:
            reason = await why_unusable(database.address, error)
            if reason is None:
                raise unavailable(error) or _Unfit(f"answers with an error ({error}).") from error
            raise _Unfit(reason) from error
    except _Unfit as unfit:
        return [Finding("fatal", f"{database.address} {unfit}")]
    return sorted(found, key=lambda finding: finding.level != "danger")


async def _look(database: RedisClient) -> list[Finding]:
    address = database.address
    await database.command("PING")
    by_node: dict[Node | None, list[Finding]] = {}
    for node in await database.masters():
        by_node[node] = await _look_at(database, node)
    await _try_writing(database)
    await _try_messages(database)
    await _compare(database)
    found = _joined(by_node, address)
    if address.tls and address.verify == "none":
        found.append(
            Finding(
                "danger",
                f"{address} may be anybody: verify=none trusts every certificate. "
                "Name the file with its authority's certificate by the option ca instead.",
            )
        )
    return found


async def _look_at(database: RedisClient, node: Node | None) -> list[Finding]:
    """What one server says about itself."""
    mode = database.address.mode
    try:
        info = read_info(await database.command("INFO", node=node))
    except ResponseError as error:
        if code(error) not in _DENIED and "unknown command" not in str(error):
            raise
        text = "does not tell what it is (INFO is refused), so nothing more is known about it."
        return [Finding("note", text)]
    reason = unfit(info, mode)
    if reason is not None:
        raise _Unfit(reason)
    config: dict[str, str] | None = {}
    for parameter in PARAMETERS:
        try:
            reply = await database.command("CONFIG", "GET", parameter, node=node)
        except ResponseError:
            config = None
            break
        assert config is not None
        config |= {name.decode(): value.decode() for name, value in pairs(reply)}
    return list(findings(info, config, mode))


async def _try_writing(database: RedisClient) -> None:
    """Every command of the scripts, in every partition."""
    address = database.address
    await database.command("EVAL", "return 1", 0)  # it may be refused where EVALSHA is not
    for partition in range(address.partitions):
        try:
            root = partition_root(address.prefix, partition)
            reply = await database.call(PERMISSIONS, [root], [])
        except StoreUnavailable as error:
            raise _origin(error) from error
        refused = refused_commands(reply)
        for reason in refused.values():
            if code(ResponseError(reason)) not in ("ERR", "NOPERM"):
                raise ResponseError(reason)  # not for want of a permission
        if refused:
            raise _Unfit(missing(address, refused))


async def _try_messages(database: RedisClient) -> None:
    subscriber = await database.subscriber()
    channel = f"{partition_root(database.address.prefix, 0)}:check"
    try:
        await subscriber.subscribe(channel)
        await subscriber.unsubscribe(channel)
    except StoreUnavailable as error:
        raise _origin(error) from error
    finally:
        await subscriber.close()


def _origin(error: StoreUnavailable) -> Exception:
    """What the server itself said, where it said something."""
    return error.__cause__ if isinstance(error.__cause__, RedisError) else error


async def _compare(database: RedisClient) -> None:
    """Whether what is kept there already is ours to continue."""
    address = database.address
    flat = await database.command("HGETALL", f"{store_root(address.prefix)}:meta")
    meta = {name: value.decode() for name, value in pairs(flat)}
    version = int(meta.get(b"version", VERSION))
    partitions = int(meta.get(b"partitions", address.partitions))
    if version > VERSION:
        raise _Unfit(
            f"was written by a newer version of this software (layout {version}, this one knows "
            f"{VERSION}). Start that version, or set another prefix: ?prefix=NAME."
        )
    if partitions != address.partitions:
        option = f"?partitions={partitions}" if address.mode == "cluster" else "?prefix=NAME"
        raise _Unfit(
            f"keeps a store of {partitions} partitions, and the address means "
            f"{address.partitions}. Write {option} into the address."
        )


def _joined(by_node: dict[Node | None, list[Finding]], address: RedisAddress) -> list[Finding]:
    """What all servers share is said once, of the address; the rest names the server."""
    shared = _common(by_node.values())
    found = [Finding(level, f"{address} {text}") for level, text in shared]
    for node, own in by_node.items():
        found += [
            Finding(level, f"{node} {text}") for level, text in own if (level, text) not in shared
        ]
    return found


def _common(lists: Iterable[list[Finding]]) -> list[Finding]:
    first, *others = lists
    return [finding for finding in first if all(finding in other for other in others)]
