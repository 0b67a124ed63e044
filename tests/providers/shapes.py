"""Shapes of the corpus for providers that make their answers themselves: noise, refusals, forms.

The simulator and the campaign with real processes put their expected words into these, so that
their promises are tried with what real providers send.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from durable_llm_streams.providers.failures.meanings import MEANINGS
from tests.providers.body import as_bytes, whole
from tests.providers.case import CORPUS, Answer, Case, load

#: What an event that says nothing must not hold.
_SAYS: Final = ('"content":"', '"content":[', "finish", '"usage"', '"error"', "[DONE]", "reasoning")
_LONGEST_WAIT: Final = 2.0  # seconds


class Refusal(NamedTuple):
    """An answer that is a failure.

    Attributes:
        name: of the case.
        meaning: see docs/providers.md.
    """

    name: str
    status: int
    media_type: str
    headers: dict[str, str]
    body: bytes
    meaning: str

    @property
    def is_final(self) -> bool:
        """Whether the question is not asked again."""
        return not MEANINGS[self.meaning].retryable


def _cases(*kinds: str) -> Iterator[tuple[str, Case]]:
    for kind in kinds:
        for path in sorted((CORPUS / kind).glob("*.toml")):
            yield f"{kind}/{path.stem}", load(path)


@cache
def silent_events() -> tuple[bytes, ...]:
    """Whole events of the corpus that say nothing: keep-alives, noise, chunks without output."""
    found: dict[bytes, None] = {}
    for _, case in _cases("noise", "alive"):
        for answer in case.answer:
            texts = (each if isinstance(each, str) else each.repeat for each in answer.steps)
            for text in texts:
                for event in text.split("\n\n")[:-1]:
                    if _is_silent(event):
                        found[as_bytes(event) + b"\n\n"] = None
    return tuple(found)


def _is_silent(event: str) -> bool:
    if not event.strip() or any(word in event.replace('"content":""', "") for word in _SAYS):
        return False
    payloads = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
    try:
        return all(json.loads(each) or True for each in payloads if each.startswith("{"))
    except ValueError:
        return False  # a broken chunk is one too many at some point


@cache
def refusals() -> tuple[Refusal, ...]:
    """Answers with a status that is no success, and how the product must take them."""
    found = []
    for name, case in _cases("failure", "wait"):
        answer, expect = case.answer[0], case.expectations[0]
        meaning = expect.meaning or ("rate-now" if name.startswith("wait/") else "")
        if answer.status >= 400 and _is_plain(answer) and meaning and not _waits(answer):
            body = whole(answer, {})
            headers = dict(answer.headers)
            found.append(Refusal(name, answer.status, answer.type, headers, body, meaning))
    return tuple(found)


def _is_plain(answer: Answer) -> bool:
    texts = [*answer.headers.values(), *(each for each in answer.steps if isinstance(each, str))]
    return answer.when is None and answer.head and not any("@{" in text for text in texts)


def _waits(answer: Answer) -> bool:
    asked = answer.headers.get("Retry-After", "0")
    return asked.isdigit() and _LONGEST_WAIT < float(asked) <= 120


class Form(NamedTuple):
    """How an event stream is written.

    Attributes:
        begin: before everything.
        line_end: instead of LF.
        noise: how likely an event that says nothing is before each event.
    """

    begin: bytes
    line_end: bytes
    noise: float

    @classmethod
    def draw(cls, rng: random.Random) -> Form:
        """One of the forms of the corpus; most streams are plain."""
        begin = rng.choice((b"", b"", b"\xef\xbb\xbf", b": hello\n\n", b"\n\n"))
        line_end = rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r"))
        return cls(begin, line_end, rng.choice((0.0, 0.0, 0.1, 0.5)))

    def dress(self, event: bytes, rng: random.Random, *, first: bool) -> bytes:
        """An event as this stream has it, and what comes before it."""
        before = self.begin if first else b""
        if rng.random() < self.noise:
            before += rng.choice(silent_events())
        return (before + event).replace(b"\n", self.line_end)
