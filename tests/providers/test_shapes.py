"""What the corpus gives to the simulator and to the campaign."""

from __future__ import annotations

import random

from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.source import Alive, TextDelta
from tests.providers.shapes import Form, refusals, silent_events

EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello "}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"world"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


def test_silent_events_say_nothing_and_end_nothing() -> None:
    assert len(silent_events()) >= 15
    for event in silent_events():
        parser = ChatParser()
        assert all(isinstance(each, Alive) for each in parser.feed(event)), event
        assert not parser.done, event
        assert not parser.has_reason, event


def test_there_are_refusals_of_both_sorts_and_no_long_waits() -> None:
    assert {refusal.is_final for refusal in refusals()} == {True, False}
    assert len({refusal.meaning for refusal in refusals()}) >= 10


def test_a_dressed_stream_says_the_same() -> None:
    for seed in range(100):
        rng = random.Random(seed)
        form = Form.draw(rng)
        parser, text = ChatParser(), ""
        for number, event in enumerate(EVENTS):
            for each in parser.feed(form.dress(event, rng, first=not number)):
                text += each.text if isinstance(each, TextDelta) else ""
        parser.end()
        assert (text, parser.finish().reason) == ("Hello world", "stop"), form
