"""The ways to tamper with sound evidence: each breaks exactly one promise, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from durable_llm_streams import chunks
from durable_llm_streams.model import Cursor, Epoch, Span, Status

from .evidence import Accepted, Frame, Reading, Stop
from .owner_evidence import FeedEvent, FeedReading, Node, Trespass
from .sound import (
    ATTEMPTS,
    FINISH,
    FIRST,
    OUT_OF_ATTEMPTS,
    ROWS,
    SECOND,
    SECRET,
    History,
    World,
    closing,
    failing,
    feed,
    look,
    word,
)
from .violation import Violation

#: Changes the evidence before it is judged.
Tampering = Callable[[World], object]

GONE: Final = Frame(Cursor("gone", 1, "aaaa"), b"{}")
LATE: Final = [word("late ")]


def evidence(**more: Any) -> Tampering:
    """A part of the evidence is another."""
    return lambda world: world.more.update(more)


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


def put(index: int, frame: Callable[[Frame], Frame]) -> Tampering:
    """One event is another."""
    return events(lambda all_: all_.__setitem__(index, frame(all_[index])))


def both(*tamperings: Tampering) -> Tampering:
    return lambda world: [tamper(world) for tamper in tamperings]


def written(change: Tampering, **more: Any) -> Tampering:
    """The logs are others, and have no readers."""
    return both(evidence(**{"readings": [], "appended": None, **more}), change)


def unwritten(world: World) -> None:
    """No writer appended the finished run's eighth record."""
    world.finished.missing.add(8)


def appends(
    process: str,
    epoch: Epoch,
    at: int,
    stands: bool | None = True,
    *,
    began: float = 7.0,
    of: Callable[[History], list[bytes]] = lambda run: LATE,
) -> Tampering:
    """One more call appends to the finished run, after it was claimed again."""
    return lambda world: world.finished.appends.append(
        (process, epoch, at, of(world.finished), began, stands)
    )


def ending(*records: bytes) -> Tampering:
    """The finished run ends with other records."""
    return written(lambda world: setattr(world.finished, "end", closing(*records)))


def stop(run_id: str, **about: Any) -> Tampering:
    return evidence(stops=[Stop("c1", run_id, **about)])


def accepted(chat: str, key: str, run_id: str) -> Tampering:
    return lambda world: world.more.update(
        accepted=[*world.evidence().accepted, Accepted(chat, key, run_id)]
    )


def message(old: bytes, new: bytes) -> Tampering:
    """Another message is stored."""

    def tamper(world: World) -> None:
        world.finished.message = (world.finished.as_answer().message or b"").replace(old, new)

    return tamper


def served(change: Callable[[list[Any]], object]) -> Tampering:
    """A server returns another history."""

    def tamper(world: World) -> None:
        history = list(world.finished.as_answer().history or ())
        change(history)
        world.finished.answer["history"] = history

    return tamper


def says(*numbers: int, behind: int = 3) -> Tampering:
    """The finished run's second attempt says other words, behind its first records."""
    words = [word(f"c0m0.{number}@B1.2 ") for number in numbers]
    return written(lambda world: world.finished.second.__setitem__(slice(behind, None), words))


def failed(sentence: str = OUT_OF_ATTEMPTS, attempts: int = ATTEMPTS) -> Tampering:
    return written(lambda world: setattr(world.failed, "end", failing(sentence, attempts)))


def results(**kinds: str) -> Tampering:
    """The finished run has results of tool calls: the kind of each, by a name of it."""
    records = [
        chunks.encode({"type": f"tool-output-{kind}", "toolCallId": name.strip("_")})
        for name, kind in kinds.items()
    ]
    return written(lambda world: world.finished.second.extend(records))


def fed(change: Callable[[FeedReading], object]) -> Tampering:
    """A second subscriber, which received something else."""

    def tamper(world: World) -> None:
        other = feed("the victim")
        change(other)
        world.more["feeds"] = [feed(), other]

    return tamper


def tree(**nodes: Node | None) -> Tampering:
    """The chat has other messages; None: one is gone."""

    def tamper(world: World) -> None:
        found = {**world.evidence().trees["c0"], **nodes}
        world.more["trees"] = {"c0": {name: node for name, node in found.items() if node}}

    return tamper


def _lost(world: World, reading: Reading) -> list[bytes]:
    """The end of the finished run was lost: before, it was longer, and had other words."""
    before = [*world.finished.first, word("c0m0.1 "), word("c0m0.2 ")]
    world.more["lost_tails"] = [{world.finished.id: before}]
    world.more["readings"] = [*world.readings, reading]
    return before


def _read_what_was_lost(world: World) -> None:
    reading = Reading("somebody", "c0", None, lost=410)
    for number, record in enumerate(_lost(world, reading), 1):
        reading.frames.append(Frame(Cursor(world.finished.id, number, "aaaa"), record))


def _read_a_mixture(world: World) -> None:
    reading = world.finished.reading("the victim")
    before = _lost(world, reading)
    reading.frames[4] = reading.frames[4]._replace(data=before[4])


def _resumed_at_the_end_of_what_was_lost(world: World) -> None:
    """It had six records, the last of them was lost, and it was given the new seventh."""
    reading = world.finished.reading("the victim", after=6)
    sixth = Frame(Cursor(world.finished.id, 6, "aaaa"), _lost(world, reading)[5])
    reading.after = sixth.cursor._replace(seq=5)
    reading.frames[:0] = [sixth]


def _accepted_twice(world: World) -> None:
    twin = msgspec.structs.replace(world.stopped.run, id="twin", key=None)
    again = replace(world.stopped.as_answer(), run=twin)
    world.more["answers"] = {**world.evidence().answers, "twin": again}
    accepted("c1", "c1m0", "twin")(world)


#: A part with thoughts that the model was not to have.
THOUGHTS: Final = (
    chunks.part_start("reasoning", "1"),
    chunks.delta_prefix("reasoning", "1") + b'"hm"}',
    chunks.part_end("reasoning", "1"),
)

#: What changes nothing that was promised.
HARMLESS: Final[dict[str, Tampering]] = {
    "as it is": lambda _: None,
    "a refused write of an old epoch": appends("A1", FIRST, 5, False),
    "a write of an old epoch without an answer": appends("A1", FIRST, 5, None),
    "the same write again after a claim": appends("A1", FIRST, 4, of=lambda run: run.first[3:]),
    "a chat that was deleted": evidence(
        deleted=frozenset({"c9"}),
        accepted=[Accepted("c9", "c9m0", "gone")],
        stops=[Stop("c9", "gone", 3)],
        readings=[Reading("somebody", "c9", None, [GONE], lost=404)],
    ),
    "a reader of what was lost": _read_what_was_lost,
    "results of two tool calls": results(_1="available", _2="error"),
    "nothing was counted or written down": evidence(
        faults=None, requests=None, attempts=None, appended=None, claims=None
    ),
    "a slow reader": reader(delay=9.0),
}

#: What breaks which promise.
TAMPERED: Final[dict[str, dict[str, Tampering]]] = {
    "prefix": {
        "a record is missing": events(lambda all_: all_.pop(7)),
        "a record comes twice": events(lambda all_: all_.insert(7, all_[7])),
        "done without the last record": events(lambda all_: all_.pop()),
        "other text": put(7, lambda event: event._replace(data=word("something else "))),
        "the token of another epoch": put(
            7, lambda event: event._replace(cursor=event.cursor._replace(token="aaaa"))
        ),
        "joined over a border": events(lambda all_: all_.pop(6)),
        "a mixture of what was lost and what is there": _read_a_mixture,
        "a mixture after a resume at the end": _resumed_at_the_end_of_what_was_lost,
        "left waiting": reader(ended=False),
        "waits for what others have": reader(delay=10.1),
        "broke the protocol": reader(error=Violation("prefix", "it came after the end")),
    },
    "seen-is-durable": {
        "a record too many": events(
            lambda all_: all_.append(Frame(all_[-1].cursor._replace(seq=len(all_) + 1), LATE[0]))
        ),
        "a run that is not there": evidence(readings=[Reading("x", "c0", None, [GONE], left=True)]),
    },
    "lost-tail-is-told": {
        "410 without a reason": reader(ended=False, lost=410),
        "an expired log gets 204": evidence(looks=[look(11.0, 204)]),
    },
    "fencing": {
        "an old epoch appends": appends("A1", FIRST, 5),
        "an old epoch appends behind its last record": appends(
            "A1", FIRST, 4, of=lambda run: [run.first[3], *LATE]
        ),
        "nobody wrote a record": unwritten,
        "another epoch wrote a record": both(
            unwritten, appends("A1", FIRST, 8, False, began=2.0, of=lambda run: run.records[7:8])
        ),
        "another text was written": both(unwritten, appends("B1", SECOND, 8)),
        "two processes hold one number": lambda world: world.more.update(
            claims=[*world.finished.claims, world.finished.claims[-1]._replace(process="C")]
        ),
        "words of the old epoch": written(
            lambda world: world.finished.second.__setitem__(-1, world.finished.say(2, "A1.1"))
        ),
        "an old record before the takeover": both(
            says(1, 2, behind=1),
            lambda world: world.finished.second.insert(0, chunks.part_end("text", "0")),
        ),
        "text before the stop": written(
            lambda world: world.stopped.end.insert(0, world.stopped.say(1, "C1.3")), stops=[]
        ),
        "a stop without a claim": written(lambda world: setattr(world.stopped, "ended_by", FIRST)),
        "the numbers of epochs go down": written(
            lambda world: setattr(world.finished, "spans", (Span(1, SECOND), Span(5, FIRST)))
        ),
    },
    "one-end": {
        "none": ending(),
        "two": ending(FINISH, FINISH),
        "something after it": ending(FINISH, chunks.notice({"event": "retry"})),
        "another kind": ending(chunks.ABORT),
        "two beginnings": written(
            lambda world: world.finished.second.insert(1, world.finished.first[0])
        ),
        "a run is still active": lambda world: world.finished.answer.update(active="runc0"),
    },
    "stop": {
        "the log has grown": stop("runc1", length=5),
        "it went on and finished": stop("runc0"),
        "it is not there": stop("gone"),
        "acknowledged before the end": stop("runc1", ended=False),
        "a finished run has grown": stop("runc0", length=3, by_this=False),
    },
    "idempotent-send": {
        "one message, two runs": _accepted_twice,
        "found in another chat": accepted("c0", "c0m9", "runc1"),
        "two runs for one message": lambda world: world.more.update(
            runs=[msgspec.structs.replace(world.stopped.run, id="twin")]
        ),
    },
    "history-is-fold": {
        "no message": lambda world: setattr(world.finished, "message", b""),
        "another word": message(b"c0m0.1", b"c0m0.7"),
        "other metadata": message(b'"model":"sim"', b'"model":"other"'),
        "another state": message(b'"done"', b'"streaming"'),
        "a part is left open": written(lambda world: world.finished.end.pop(0)),
        "a server leaves out the question": served(lambda history: history.pop(0)),
        "a server returns other parts": served(
            lambda history: history.__setitem__(1, {**history[1], "parts": []})
        ),
    },
    "one-clean-answer": {
        "a word is missing": says(0, 2),
        "the last word is missing": says(0, 1),
        "a word too many": says(0, 1, 2, 3),
        "two attempts": says(0, 1, 2, behind=1),
        "a gap between attempts": says(2, behind=1),
        "thoughts that nobody has": written(
            lambda world: world.finished.second.__setitem__(slice(2, 2), THOUGHTS)
        ),
    },
    "honest-failure": {
        "accepted and gone": accepted("c0", "c0m9", "gone"),
        "it never ends": written(
            both(
                lambda world: setattr(world.finished, "status", Status.RUNNING),
                lambda world: world.finished.end.clear(),
            )
        ),
        "more attempts than allowed": ending(chunks.finish("stop", {"attempts": ATTEMPTS + 1})),
        "finished in an attempt too many": lambda world: setattr(world.finished, "takeovers", 3),
        "asked too often": evidence(requests={"c2m0": ATTEMPTS + 1}),
        "asked without a reason": evidence(requests={"c1m0": 2}),
        "gives up early": evidence(refused=frozenset()),
        "names fewer attempts": failed(attempts=ATTEMPTS - 1),
        "another sentence": failed("Something went wrong."),
        "another status in the message": ending(chunks.finish("stop", {"status": "failed"})),
    },
    "bounded": {
        "a log goes early": evidence(looks=[look(4.9, 410)]),
        "a log stays too long": evidence(looks=[look(10.1, 200)]),
    },
    "takeover": {"without a reason": evidence(faults={"cut-answer": ATTEMPTS})},
    "tool-once": {
        "twice": results(_1="available", _1_="available"),
        "and a failure": results(_1="available", _1_="error"),
    },
    "no-secrets": {
        "in the error": written(
            lambda world: world.refused.end.__setitem__(-1, chunks.error(f"{SECRET.decode()}!"))
        ),
        "in a notice": written(
            lambda world: world.finished.second.insert(1, chunks.notice({"was": SECRET.decode()}))
        ),
    },
    "no-leak": {"a task": evidence(leaks=("the task Task-1",))},
    "feed": {
        "a change is missing": fed(lambda f: f.events.pop(0)),
        "a change comes late": fed(
            lambda f: f.events.append(f.events.pop()._replace(came=4.5 + 10.1))
        ),
        "an older position": fed(lambda f: f.events.append(f.events[0]._replace(position="ab.2"))),
        "a run goes on after its end": fed(
            lambda f: f.events.append(f.events[0]._replace(position="ab.9"))
        ),
        "shows an old row": fed(lambda f: f.rows.update(c0={**ROWS["c0"], "active": True})),
        "broke the protocol": fed(lambda f: setattr(f, "error", Violation("feed", "HTTP 500"))),
    },
    "owned": {
        "an answer for a foreign chat": evidence(
            trespasses=[Trespass("bob", 200, b"{}", frozenset({404}))]
        ),
        "a foreign chat in a list": evidence(lists={"ann": ROWS, "bob": {"c0": {"id": "c0"}}}),
        "a foreign chat in a feed": fed(
            lambda f: f.events.append(FeedEvent("ab.9", {"type": "chat-deleted", "id": "c2"}, 9, 0))
        ),
    },
    "versions": {
        "a message is gone": tree(c0m0=None),
        "a message was overwritten": tree(c0m0=Node(None, "user", "Count!")),
        "an edit stands elsewhere": tree(c0m1=Node("ac0", "user", "Count!")),
        "an answer is gone": tree(ac0=None),
        "an answer stands elsewhere": tree(ac0=Node("c0m1", "assistant")),
    },
}
