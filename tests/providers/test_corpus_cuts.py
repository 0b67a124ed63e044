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
from tests.providers.case import Answer, Case, load, name_of, paths

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


@pytest.mark.parametrize("path", PATHS, ids=map(name_of, PATHS))
def test_a_body_gives_the_same_result_however_it_is_cut(path: Path) -> None:
    for answer, body in _bodies(load(path)):
        broken = breaks(answer)
        expected = _outcome(body, [body], broken=broken)
        for at in _positions(body):
            got = _outcome(body, [body[:at], body[at:]], broken=broken)
            assert got == expected, f"cut behind {body[:at][-60:]!r}"
        if len(body) <= SMALL:
            single = [body[at : at + 1] for at in range(len(body))]
            assert _outcome(body, single, broken=broken) == expected, "cut into single bytes"
