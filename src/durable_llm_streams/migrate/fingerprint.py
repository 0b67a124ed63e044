"""Compares a chat in two stores, byte by byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from msgspec import Struct, structs

from durable_llm_streams.model import Run

from .portable import Bodies, ChatName, Outline, Portable


class Fingerprint(Struct, frozen=True):
    """A chat, with digests instead of its text.

    Attributes:
        outline: everything but the text.
        bodies: the digest of all bodies, in order.
        logs: the digest of the records of each run with a log.
    """

    outline: Outline
    bodies: bytes
    logs: dict[str, bytes]


async def fingerprint(store: Portable, name: ChatName) -> Fingerprint | None:
    """Read a whole chat; None if there is no such chat.

    Raises:
        RunNotFound, CursorLost: a part was deleted meanwhile; try again.
        StoreUnavailable: the store cannot be read now.
    """
    outline = await store.outline(name)
    if outline is None:
        return None
    bodies, logs = _digest(), {each.run.id: _digest() for each in outline.runs if each.has_log}
    async for content in store.contents(outline):
        if isinstance(content, Bodies):
            digest, pieces = bodies, content.bodies
        else:
            digest, pieces = logs[content.run_id], content.records
        for piece in pieces:
            digest.update(len(piece).to_bytes(8, "big"))
            digest.update(piece)
    return Fingerprint(
        outline, bodies.digest(), {run_id: digest.digest() for run_id, digest in logs.items()}
    )


def difference(source: Outline, target: Outline) -> str | None:
    """How two outlines differ, as the end of a sentence about the target's chat; None if equal.

    Missing logs are ignored, because they expire. So are ages: each store has its own time.
    """
    if target.chat != source.chat:
        return "has another title, head or time there"
    if target.messages != source.messages:
        return "has other messages there"
    if _without_logs(target) != _without_logs(source):
        return "has other runs there"
    return None


def whole_difference(
    source: Fingerprint, target: Fingerprint | None, is_due: Callable[[Run], bool]
) -> str | None:
    """Like `difference`, for the whole chats.

    Args:
        source: of the original chat.
        target: of the copy.
        is_due: whether the retention of a run's log is over, so that it may be missing.
    """
    if target is None:
        return "is missing there"
    found = difference(source.outline, target.outline)
    if found is not None:
        return found
    if target.bodies != source.bodies:
        return "has a message with another text there"
    for moved in source.outline.runs:
        run_id = moved.run.id
        if run_id not in source.logs or (run_id not in target.logs and is_due(moved.run)):
            continue
        if target.logs.get(run_id) != source.logs[run_id]:
            return f"has another log of run {run_id} there"
    return None


def _without_logs(outline: Outline) -> list[object]:
    return [structs.replace(moved, has_log=False, age=0) for moved in outline.runs]


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=32)
