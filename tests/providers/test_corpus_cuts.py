"""Each body of the corpus, cut at every byte, at the parser: no socket, no clock."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.streams.answer_parser import AnswerParser
from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.providers.streams.responses_sse import ResponsesParser
from durable_llm_streams.source import (
    Alive,
    Citation,
    File,
    Job,
    LateThought,
    ReasoningDelta,
    TextDelta,
)
from tests.providers.body import breaks, whole
from tests.providers.case import Answer, Case, Expect, Step, load, name_of, paths
from tests.providers.verdict import explained

#: Bytes; a body up to this long is cut at every one.
SMALL: Final = 4096
_SAMPLE: Final = 60
_VALUES: Final = {"port": "1", "folder": "/nowhere"}


def _bodies(case: Case) -> Iterator[tuple[Answer, bytes]]:
    """The bodies that a parser reads."""
    for answer in case.answer:
        path = answer.when.path if answer.when is not None else ""
        is_document = path.endswith("/models") or ("responses" in path and "json" in answer.type)
        if case.cuts and answer.status == 200 and answer.head and not is_document:
            yield answer, whole(answer, _VALUES)


def _parser(body: bytes) -> AnswerParser:
    if b'"type":"response.' in body or b'"type":"error","sequence_number"' in body:
        return ResponsesParser()
    return ChatParser(late_thoughts=True)


def _positions(body: bytes) -> Iterable[int]:
    """Where to cut: everywhere, or in a long body at its ends, its lines' ends and by chance."""
    if len(body) <= SMALL:
        return range(1, len(body))
    lines = [at for at, byte in enumerate(body) if byte in b"\r\n"]
    near = [at + step for at in (*lines[:20], *lines[-20:]) for step in (0, 1)]
    chance = random.Random(1).sample(range(1, len(body)), _SAMPLE)
    return {at for at in (*range(1, 80), *near, *chance) if 0 < at < len(body)}


def _outcome(body: bytes, pieces: Sequence[bytes], *, broken: bool) -> list[Any]:
    """What comes of a body: the output in order, then how it ended."""
    told: list[Any] = []
    parser = _parser(body)
    for piece in pieces:
        for event in parser.feed(piece):
            _add(told, event)
    if broken and not parser.done:
        parser.cut(OSError("reset"))
    else:
        for event in parser.end():
            _add(told, event)
    try:
        finish = parser.finish()
    except ModelError as error:
        return [*told, ("failed", str(error), error.meaning, error.retryable, error.metadata)]
    return [*told, ("finished", finish.reason, finish.metadata)]


def _add(told: list[Any], event: Any) -> None:
    """Texts are joined; signs of life and marks follow the reads, and are no outcome."""
    if isinstance(event, Alive | Job):
        return
    if isinstance(event, LateThought):
        told[:] = [("reasoning", text) if kind == "text" else (kind, text) for kind, text in told]
        return
    if isinstance(event, TextDelta | ReasoningDelta):
        kind = "text" if isinstance(event, TextDelta) else "reasoning"
        if told and told[-1][0] == kind:
            told[-1] = (kind, told[-1][1] + event.text)
        else:
            told.append((kind, event.text))
        return
    assert isinstance(event, File | Citation), event
    told.append(("part", event))


PATHS = list(paths())


def _texts(told: list[Any], kind: str) -> str:
    return "".join(each[1] for each in told if each[0] == kind)


def _observed(told: list[Any], expect: Expect) -> dict[str, tuple[Any, Any]]:
    """What a file expects, and what the parser makes of its body: (expected, observed)."""
    status, first, *more = told[-1]
    if status != expect.status:
        return {"status": (expect.status, told[-1])}
    if status == "failed":
        seen = expect.sentence if expect.sentence in first else first
        return {
            "meaning": (expect.meaning or more[0], more[0]),
            "sentence": (expect.sentence, seen),
            "asked again": (expect.requests > 1, more[1]),
        }
    found: dict[str, tuple[Any, Any]] = {"finish": (expect.finish or "stop", first)}
    found["reasoning"] = (expect.reasoning, _texts(told, "reasoning"))
    if expect.text is not None:
        found["text"] = (expect.text, _texts(told, "text"))
    return found


def _is_alone(case: Case) -> bool:
    """Whether the outcome is that of one body, and of nothing else."""
    steps = (step for answer in case.answer for step in answer.steps if isinstance(step, Step))
    if case.settings.get("DLS_ATTEMPTS") == "1":
        return False  # nothing is asked again, whatever the body says
    return len(case.answer) == len(case.ask) == 1 and not any(step.hang for step in steps)


ALONE = [path for path in PATHS if _is_alone(load(path))]


@pytest.mark.parametrize("path", ALONE, ids=map(name_of, ALONE))
def test_one_body_comes_to_what_its_file_says_at_the_parser(path: Path) -> None:
    case = load(path)
    for answer, body in _bodies(case):
        told = _outcome(body, [body], broken=breaks(answer))
        pairs = _observed(told, case.expectations[0])
        found = [f"  {name}: expected {a!r}, got {b!r}" for name, (a, b) in pairs.items() if a != b]
        if found:
            pytest.fail(explained(path, case, found), pytrace=False)


@pytest.mark.parametrize("path", PATHS, ids=map(name_of, PATHS))
def test_a_body_says_the_same_however_it_is_cut(path: Path) -> None:
    for answer, body in _bodies(load(path)):
        broken = breaks(answer)
        expected = _outcome(body, [body], broken=broken)
        for at in _positions(body):
            got = _outcome(body, [body[:at], body[at:]], broken=broken)
            assert got == expected, f"cut behind {body[:at][-60:]!r}"
        if len(body) <= SMALL:
            single = [body[at : at + 1] for at in range(len(body))]
            assert _outcome(body, single, broken=broken) == expected, "cut into single bytes"
