"""What the user that signs in at Redis must be allowed, and whether it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.partitions import store_root
from durable_llm_streams.stores.redis.scripts import PERMISSIONS

#: Commands of the scripts: those that `permissions.lua` tries.
SCRIPTED = tuple(sorted(set(re.findall(r"^try\('([A-Z]+)'", PERMISSIONS.text, re.MULTILINE))))

_NAMED = 6
_ALWAYS = ("eval", "evalsha", "hgetall", "ping", "subscribe", "unsubscribe")
_TO_LOOK = ("info", "config|get")


def acl_line(address: RedisAddress) -> str:
    """The ACL line that is enough for a user of this store, and no more."""
    root = store_root(address.prefix)
    partitions = root[:-1] + ":*"
    commands = {*_ALWAYS, *_TO_LOOK, *(name.lower() for name in SCRIPTED)}
    commands.add("cluster|slots" if address.mode == "cluster" else "role")
    if address.db:
        commands.add("select")
    allowed = " ".join(f"+{command}" for command in sorted(commands))
    user = address.user or "default"
    return (
        f"ACL SETUSER {user} on >PASSWORD resetkeys ~{root}* ~{partitions} "
        f"resetchannels &{partitions} {allowed}"
    )


def refused_commands(reply: Sequence[bytes]) -> dict[str, str]:
    """The commands that `permissions.lua` could not run, and the server's reasons."""
    words = [word.decode(errors="replace") for word in reply]
    return dict(zip(words[::2], words[1::2], strict=True))


def lacking(address: RedisAddress, reason: str) -> str:
    """What a refusal without permission is about: a command, keys or channels."""
    root = store_root(address.prefix)
    named = re.search(r"'([^']+)'", reason)
    if named is not None:
        return named[1]
    if "channel" in reason:
        return f"the channels &{root[:-1]}:*"
    return f"the keys ~{root}* and ~{root[:-1]}:*"


def missing(address: RedisAddress, refused: Mapping[str, str]) -> str:
    """What the user lacks, and the line that gives it.

    Args:
        address: with the user.
        refused: commands or other permissions, and the server's reasons.
    """
    user = address.user or "default"
    names = ", ".join(list(refused)[:_NAMED]) + ", …" * (len(refused) > _NAMED)
    reason = next(iter(refused.values())).removesuffix(".")
    return (
        f"does not allow the user {user} what is needed: {names} ({reason}). "
        f"This is enough: {acl_line(address)}"
    )
