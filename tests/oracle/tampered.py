"""Every promise, and the ways of tampering with evidence that break it and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from durable_llm_streams import chunks
from durable_llm_streams.model import Epoch, Span, Status

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
    STOPPER,
    TAKEOVER,
    World,
    closing,
    feed,
    look,
    word,
)
from .tampering import (
    GONE,
    PREFIX,
    Tampering,
    answer,
    appends,
    events,
    evidence,
    late,
    reader,
    tool_output,
    written,
)
from .violation import Violation

# --- fencing -------------------------------------------------------------------------------------


def _another_epoch_wrote_a_record(world: World) -> None:
    world.finished.missing.add(8)
    appends("A1", FIRST, 8, [world.finished.records[7]], 2.0, False)(world)


def _another_text_was_written(world: World) -> None:
    world.finished.missing.add(8)
    appends("B1", SECOND, 8, late("something else "), 6.0, True)(world)


def _two_holders(world: World) -> None:
    world.more["claims"] = [*world.finished.claims, world.finished.claims[-1]._replace(process="C")]


def _words_of_the_old_epoch(world: World) -> None:
    world.finished.second[-1] = world.finished.say(2, "A1.1")


def _an_old_record_before_the_takeover(world: World) -> None:
    world.finished.second.insert(0, chunks.part_end("text", "0"))
    world.finished.second.remove(chunks.RESET_STEP)
    del world.finished.second[2:4]  # it goes on where the first epoch ended


def _text_before_the_stop(world: World) -> None:
    world.stopped.end.insert(0, world.stopped.say(1, "C1.3"))
    world.more["stops"] = []


def _stopped_under_the_old_epoch(world: World) -> None:
    world.stopped.ended_by = FIRST


def spans(*epochs: Epoch) -> Tampering:
    def tamper(world: World) -> None:
        world.finished.spans = (Span(1, epochs[0]), Span(len(world.finished.first) + 1, epochs[1]))

    return written(tamper)


_FENCING: Final[dict[str, Tampering]] = {
    "an old epoch appends": appends("A1", FIRST, 5, late(), 7.0, True),
    "an old epoch appends behind its last record": lambda world: appends(
        "A1", FIRST, 4, [world.finished.first[3], *late()], 7.0, True
    )(world),
    "nobody wrote a record": lambda world: world.finished.missing.add(8),
    "another epoch wrote a record": _another_epoch_wrote_a_record,
    "another text was written": _another_text_was_written,
    "two processes hold one number": _two_holders,
    "words of the old epoch": written(_words_of_the_old_epoch),
    "an old record before the takeover": written(_an_old_record_before_the_takeover),
    "text before the stop": written(_text_before_the_stop),
    "a stop without a claim": written(_stopped_under_the_old_epoch),
    "the numbers of epochs go down": spans(SECOND, FIRST),
    "two epochs have one number": spans(SECOND, STOPPER),
}


# --- ends, stops, duplicates ---------------------------------------------------------------------


def ending(*records: bytes) -> Tampering:
    """The finished run ends with other records."""
    return written(lambda world: setattr(world.finished, "end", closing(*records)))


def status(which: Status, **more: Any) -> Tampering:
    return written(lambda world: setattr(world.finished, "status", which), **more)


def _begins_twice(world: World) -> None:
    world.finished.second.insert(1, world.finished.first[0])


def _never_ends(world: World) -> None:
    world.finished.status, world.finished.end = Status.RUNNING, []


def stop(run_id: str, **about: Any) -> Tampering:
    return evidence(stops=[Stop("c1", run_id, **about)])


def accepted(chat: str, key: str, run_id: str) -> Tampering:
    def tamper(world: World) -> None:
        world.more["accepted"] = [*world.evidence().accepted, Accepted(chat, key, run_id)]

    return tamper


def _accepted_twice(world: World) -> None:
    twin = msgspec.structs.replace(world.stopped.run, id="twin", key=None)
    again = replace(world.stopped.as_answer(), run=twin)
    world.more["answers"] = {**world.evidence().answers, "twin": again}
    accepted("c1", "c1m0", "twin")(world)


def _two_runs_for_one_message(world: World) -> None:
    world.more["runs"] = [msgspec.structs.replace(world.stopped.run, id="twin")]


# --- the message and its text --------------------------------------------------------------------


def message(change: Callable[[bytes], bytes]) -> Tampering:
    """Another message is stored."""

    def tamper(world: World) -> None:
        stored = world.finished.as_answer().message
        assert stored is not None
        world.finished.message = change(stored)

    return tamper


def served(change: Callable[[list[Any]], object]) -> Tampering:
    """A server returns another history."""

    def tamper(world: World) -> None:
        history = list(world.finished.as_answer().history or ())
        change(history)
        world.finished.answer["history"] = history

    return tamper


def says(*words: str) -> Tampering:
    """The finished run's second attempt says something else."""

    def tamper(world: World) -> None:
        world.finished.second[3:] = [word(text) for text in words]

    return written(tamper)


def _goes_on(*numbers: int) -> Tampering:
    """The second attempt goes on behind the first word."""

    def tamper(world: World) -> None:
        said = [world.finished.say(number, "B1.2") for number in numbers]
        world.finished.second = [TAKEOVER, *said]

    return written(tamper)


def _thinks(world: World) -> None:
    thought = chunks.delta_prefix("reasoning", "1") + b'"hm"}'
    part = chunks.part_start("reasoning", "1"), thought, chunks.part_end("reasoning", "1")
    world.finished.second[2:2] = part


# --- failures ------------------------------------------------------------------------------------


def failed(sentence: str = OUT_OF_ATTEMPTS, attempts: int = ATTEMPTS) -> Tampering:
    about = {"attempts": attempts, "error": sentence}
    end = closing(chunks.metadata(about), chunks.error(sentence))
    return written(lambda world: setattr(world.failed, "end", end))


def _secret_in_a_notice(world: World) -> None:
    world.finished.second[1:1] = [chunks.notice({"event": "retry", "reason": SECRET.decode()})]


def _secret_in_the_error(world: World) -> None:
    world.refused.end[-1] = chunks.error(f"401: {SECRET.decode()}")


def _two_results(second: str) -> Tampering:
    results = [tool_output("available", "1"), tool_output(second, "1")]
    return written(lambda world: world.finished.second.extend(results))


# --- owners --------------------------------------------------------------------------------------


def fed(change: Callable[[FeedReading], object]) -> Tampering:
    """A second subscriber, which received something else."""

    def tamper(world: World) -> None:
        other = feed("the victim")
        change(other)
        world.more["feeds"] = [feed(), other]

    return tamper


def late_event(seconds: float) -> Tampering:
    return fed(lambda f: f.events.append(f.events.pop()._replace(came=4.5 + seconds)))


def tree(change: Callable[[dict[str, Node]], object]) -> Tampering:
    """The chat has other messages."""

    def tamper(world: World) -> None:
        nodes = dict(world.evidence().trees["c0"])
        change(nodes)
        world.more["trees"] = {"c0": nodes}

    return tamper


_FEED: Final[dict[str, Tampering]] = {
    "a change is missing": fed(lambda f: f.events.pop(0)),
    "a change comes late": late_event(10.1),
    "an older position": fed(lambda f: f.events.append(f.events[0]._replace(position="ab.2"))),
    "a run goes on after its end": fed(
        lambda f: f.events.append(f.events[0]._replace(position="ab.9"))
    ),
    "shows what is not there": fed(lambda f: f.rows.update(c9={"id": "c9"})),
    "shows an old row": fed(lambda f: f.rows.update(c0={**ROWS["c0"], "active": True})),
    "shows nothing": fed(lambda f: f.rows.clear()),
    "broke the protocol": fed(lambda f: setattr(f, "error", Violation("feed", "HTTP 500"))),
}


#: What breaks which promise.
TAMPERED: Final[dict[str, dict[str, Tampering]]] = {
    "prefix": PREFIX,
    "seen-is-durable": {
        "a record too many": events(
            lambda all_: all_.append(Frame(all_[-1].cursor._replace(seq=len(all_) + 1), late()[0]))
        ),
        "a run that is not there": evidence(readings=[Reading("x", "c0", None, [GONE], left=True)]),
    },
    "lost-tail-is-told": {
        "410 without a reason": reader(ended=False, lost=410),
        "404 without a reason": reader(ended=False, lost=404),
        "an expired log gets 204": evidence(looks=[look(11.0, 204)]),
    },
    "fencing": _FENCING,
    "one-end": {
        "none": ending(),
        "two": ending(FINISH, FINISH),
        "two kinds": ending(chunks.ABORT, FINISH),
        "something after it": ending(FINISH, chunks.notice({"event": "retry"})),
        "another kind": ending(chunks.ABORT),
        "another status": status(Status.FAILED, refused={"c0m0", "c3m0"}),
        "two beginnings": written(_begins_twice),
        "a run is still active": answer(active="runc0"),
    },
    "stop": {
        "the log has grown": stop("runc1", length=5),
        "the log has shrunk": stop("runc1", length=7),
        "it went on and finished": stop("runc0"),
        "it is not there": stop("gone"),
        "acknowledged before the end": stop("runc1", ended=False),
        "a finished run has grown": stop("runc0", length=3, by_this=False),
    },
    "idempotent-send": {
        "one message, two runs": _accepted_twice,
        "found in another chat": accepted("c0", "c0m9", "runc1"),
        "two runs for one message": _two_runs_for_one_message,
    },
    "history-is-fold": {
        "no message": message(lambda _: b""),
        "another word": message(lambda body: body.replace(b"c0m0.1", b"c0m0.7")),
        "other metadata": message(lambda body: body.replace(b'"model":"sim"', b'"model":"other"')),
        "another state": message(lambda body: body.replace(b'"done"', b'"streaming"')),
        "a part is left open": written(lambda world: world.finished.end.pop(0)),
        "a server leaves out the question": served(lambda history: history.pop(0)),
        "a server leaves out the answer": served(lambda history: history.pop()),
        "a server returns other parts": served(
            lambda history: history.__setitem__(1, {**history[1], "parts": []})
        ),
        "a server returns another order": served(lambda history: history.reverse()),
    },
    "one-clean-answer": {
        "a word is missing": says("c0m0.0 ", "c0m0.2 "),
        "the last word is missing": says("c0m0.0 ", "c0m0.1 "),
        "a word comes twice": says("c0m0.0 ", "c0m0.0 ", "c0m0.1 ", "c0m0.2 "),
        "another order": says("c0m0.0 ", "c0m0.2 ", "c0m0.1 "),
        "a word too many": says("c0m0.0 ", "c0m0.1 ", "c0m0.2 ", "c0m0.3 "),
        "a word of another question": written(
            lambda world: world.stopped.first.__setitem__(3, word("c0m0.0 ")), stops=[]
        ),
        "two attempts": _goes_on(0, 1, 2),
        "a gap between attempts": _goes_on(2),
        "thoughts that nobody has": written(_thinks),
    },
    "honest-failure": {
        "accepted and gone": evidence(accepted=[Accepted("c0", "c0m9", "gone")]),
        "it never ends": written(_never_ends),
        "more attempts than allowed": ending(chunks.finish("stop", {"attempts": ATTEMPTS + 1})),
        "finished in an attempt too many": lambda world: setattr(world.finished, "takeovers", 3),
        "asked too often": evidence(requests={"c2m0": ATTEMPTS + 1}),
        "asked without a reason": evidence(requests={"c1m0": 2}),
        "gives up early": evidence(refused=frozenset()),
        "names fewer attempts": failed(attempts=ATTEMPTS - 1),
        "another sentence": failed("Something went wrong."),
        "another status in the message": ending(chunks.finish("stop", {"status": "failed"})),
        "an answer of HTTP 500": reader(error=Violation("honest-failure", "got HTTP 500")),
    },
    "bounded": {
        "a log goes early": evidence(looks=[look(4.9, 410)]),
        "a log stays too long": evidence(looks=[look(10.1, 200)]),
    },
    "takeover": {"without a reason": evidence(faults={"cut-answer": ATTEMPTS})},
    "tool-once": {"twice": _two_results("available"), "and a failure": _two_results("error")},
    "no-secrets": {
        "in the error": written(_secret_in_the_error),
        "in a notice": written(_secret_in_a_notice),
    },
    "no-leak": {"a task": evidence(leaks=("the task Task-1",))},
    "feed": _FEED,
    "owned": {
        "an answer for a foreign chat": evidence(
            trespasses=[Trespass("bob", 200, b"{}", frozenset({404}))]
        ),
        "a foreign chat in a list": evidence(
            lists={"ann": ROWS, "bob": {"c0": {"id": "c0"}, "c2": {"id": "c2"}}}
        ),
        "a foreign chat in a feed": fed(
            lambda f: f.events.append(FeedEvent("ab.9", {"type": "chat-deleted", "id": "c2"}, 9, 0))
        ),
    },
    "versions": {
        "a message is gone": tree(lambda nodes: nodes.pop("c0m0")),
        "a message was overwritten": tree(
            lambda nodes: nodes.update(c0m0=Node(None, "user", "Count!"))
        ),
        "an edit stands elsewhere": tree(
            lambda nodes: nodes.update(c0m1=Node("ac0", "user", "Count!"))
        ),
        "an answer is gone": tree(lambda nodes: nodes.pop("ac0")),
        "an answer stands elsewhere": tree(
            lambda nodes: nodes.update(ac0=Node("c0m1", "assistant"))
        ),
    },
}
