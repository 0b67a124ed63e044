"""The ways to tamper with sound evidence: each breaks exactly one promise, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from durable_llm_streams import chunks
from durable_llm_streams.model import Cursor

from .evidence import Accepted, Frame, Reading, Stop
from .sound import (
    FIRST,
    World,
    word,
)
from .violation import Violation

#: Changes the evidence before it is judged.
Tampering = Callable[[World], object]

GONE: Final = Frame(Cursor("gone", 1, "aaaa"), b"{}")


def events(change: Callable[[list[Frame]], object], **more: Any) -> Tampering:
    """One more reader of the finished run, whose events are changed."""

    def tamper(world: World) -> None:
        reading = world.finished.reading("the victim")
        change(reading.frames)
        for name, value in more.items():
            setattr(reading, name, value)
        world.more["readings"] = [*world.readings, reading]

    return tamper


def reader(**about: Any) -> Tampering:
    """One more reader of the finished run, with every event."""
    return events(lambda _: None, **about)


def evidence(**more: Any) -> Tampering:
    """A part of the evidence is another."""
    return lambda world: world.more.update(more)


def answer(**more: Any) -> Tampering:
    """A part of the finished answer is another."""
    return lambda world: world.finished.answer.update(more)


def written(change: Callable[[World], object], **more: Any) -> Tampering:
    """The logs are others, and nobody reads them."""

    def tamper(world: World) -> None:
        world.more.update({"readings": [], "appended": None, **more})
        change(world)

    return tamper


def appends(*call: Any) -> Tampering:
    """One more call that appends to the finished run."""
    return lambda world: world.finished.appends.append(call)


def put(index: int, frame: Callable[[list[Frame]], Frame]) -> Tampering:
    """One event is another."""
    return events(lambda all_: all_.__setitem__(index, frame(all_)))


def late(text: str = "late ") -> list[bytes]:
    return [word(text)]


def tool_output(kind: str, call: str) -> bytes:
    return chunks.encode({"type": f"tool-output-{kind}", "toolCallId": call})


def _deleted(world: World) -> None:
    world.more |= {
        "deleted": frozenset({"c9"}),
        "accepted": [Accepted("c9", "c9m0", "gone")],
        "stops": [Stop("c9", "gone", 3)],
        "readings": [Reading("somebody", "c9", None, [GONE], lost=404)],
    }


def _as_it_was(world: World) -> list[bytes]:
    """The log of the finished run before its end was lost: longer, and with other words."""
    return [*world.finished.first, word("c0m0.1 "), word("c0m0.2 ")]


def _read_what_was_lost(world: World) -> None:
    before = _as_it_was(world)
    events = [Frame(Cursor(world.finished.id, n, "aaaa"), each) for n, each in enumerate(before, 1)]
    world.more["readings"] = [*world.readings, Reading("somebody", "c0", None, events, lost=410)]
    world.more["lost_tails"] = [{world.finished.id: before}]


def _read_a_mixture(world: World) -> None:
    before = _as_it_was(world)
    put(4, lambda all_: Frame(all_[4].cursor, before[4]))(world)
    world.more["lost_tails"] = [{world.finished.id: before}]


def _resumed_at_the_end_of_what_was_lost(world: World) -> None:
    """It had six records, the last of them was lost, and it was given the new seventh."""
    reading = world.finished.reading("the victim", after=6)
    reading.after = Cursor(world.finished.id, 6, "aaaa")
    reading.frames[:0] = [Frame(reading.after, _as_it_was(world)[5])]
    reading.after = Cursor(world.finished.id, 5, "aaaa")
    world.more["readings"] = [*world.readings, reading]
    world.more["lost_tails"] = [{world.finished.id: _as_it_was(world)}]


#: What changes nothing that was promised.
HARMLESS: Final[dict[str, Tampering]] = {
    "as it is": lambda _: None,
    "a refused write of an old epoch": appends("A1", FIRST, 5, late(), 7.0, False),
    "a write of an old epoch without an answer": appends("A1", FIRST, 5, late(), 7.0, None),
    "the same write again after a claim": lambda world: appends(
        "A1", FIRST, 4, world.finished.first[3:], 7.0, True
    )(world),
    "a chat that was deleted": _deleted,
    "a reader of what was lost": _read_what_was_lost,
    "results of two tool calls": written(
        lambda world: world.finished.second.extend(
            [tool_output("available", "1"), tool_output("error", "2")]
        )
    ),
    "nothing was counted or written down": evidence(
        faults=None, requests=None, attempts=None, appended=None, claims=None
    ),
    "a slow reader": reader(delay=9.0),
}

#: What breaks the promise to readers.
PREFIX: Final[dict[str, Tampering]] = {
    "a record is missing": events(lambda all_: all_.pop(7)),
    "the first record is missing": events(lambda all_: all_.pop(0)),
    "a record comes twice": events(lambda all_: all_.insert(7, all_[7])),
    "done without the last record": events(lambda all_: all_.pop()),
    "other text": put(7, lambda all_: all_[7]._replace(data=word("something else "))),
    "the token of another epoch": put(
        7, lambda all_: Frame(all_[7].cursor._replace(token="aaaa"), all_[7].data)
    ),
    "another order": events(lambda all_: all_.insert(8, all_.pop(9))),
    "two texts change places": events(
        lambda all_: all_.__setitem__(
            slice(8, 10), [Frame(all_[8][0], all_[9][1]), Frame(all_[9][0], all_[8][1])]
        )
    ),
    "joined without a word": events(
        lambda all_: all_.__setitem__(
            slice(7, 10), [Frame(all_[9].cursor, word("c0m0.0@B1.2 c0m0.2@B1.2 "))]
        )
    ),
    "joined over a border": events(lambda all_: all_.__setitem__(slice(6, 8), [all_[7]])),
    "a mixture of what was lost and what is there": _read_a_mixture,
    "a mixture after a resume at the end": _resumed_at_the_end_of_what_was_lost,
    "left waiting": reader(ended=False),
    "waits for what others have": reader(delay=10.1),
    "broke the protocol": reader(error=Violation("prefix", "it came after the end")),
}
