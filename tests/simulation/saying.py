"""How a model streams a text, and how a network delivers it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from tests.fake_provider import End, Step
from tests.providers.shapes import Form

from .faults import Faults

#: What a provider writes into its errors, and the key: no reader may ever see either.
SECRET: Final = "sk-simulated-secret"

_JUNK: Final = (
    b"data: {broken\n\n",
    b"data: [1]\n\n",
    b'data: {"choices": 7}\n\n',
    b'data: {"error": {"message": "%b", "code": "server_error"}}\n\n' % SECRET.encode(),
)


def pieces(text: str, rng: random.Random) -> list[str]:
    """A text as a model streams it: a word, half of one, or three."""
    said = []
    while text:
        length = rng.choice((1, 3, 5, 5, 5, 8, 20))
        said.append(text[:length])
        text = text[length:]
    return said


def dressed(steps: Iterator[Step], rng: random.Random) -> Iterator[Step]:
    """The same events, in one of the forms of the corpus, with its noise between them."""
    form, first = Form.draw(rng), True
    for step in steps:
        if isinstance(step, bytes):
            yield form.dress(step, rng, first=first)
            first = False
        else:
            yield step


def spoilt(
    steps: Iterator[Step], faults: Faults, place: str, stalled: Callable[[], None]
) -> Iterator[Step]:
    """The same events, until one of them is junk, does not come, or is the last."""
    for step in steps:
        if isinstance(step, bytes):
            if faults.strikes("stall-answer", place):
                stalled()
                yield End.HANG
            if faults.strikes("end-answer", place):
                return
            if junk := faults.strikes("break-answer", place):
                yield junk.choice(_JUNK)
        yield step


def carried(
    steps: Iterator[Step], faults: Faults, place: str, rng: random.Random
) -> Iterator[Step]:
    """The same bytes, as a network brings them: cut anywhere, and off at some byte."""
    cut = faults.strikes("cut-answer", place)
    left = cut.choice((0, cut.randrange(300), cut.randrange(4000))) if cut else None
    kept = b""
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        data = kept + step
        split = len(data) if rng.random() < 0.7 else rng.randrange(len(data) + 1)
        data, kept = data[:split], data[split:]
        if left is not None and len(data) > left:
            yield data[:left]
            yield End.RESET
        if left is not None:
            left -= len(data)
        yield data
    yield kept
