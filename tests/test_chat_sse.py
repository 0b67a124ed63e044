"""The parser of chat-completion streams: bytes in, events out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from durable_llm_streams.source import Finish, ReasoningDelta, TextDelta
from tests.chat_streams import DONE, delta, finish, line, outcome, pieces_of, read, said, text

#: Without what begins a tag of thoughts or a picture.
_NOT_IN_TAGS = st.characters(codec="utf-8", exclude_characters="<[")


@pytest.mark.promise("foreign-bytes")
@given(
    st.lists(st.text(_NOT_IN_TAGS, min_size=1), min_size=1),
    st.lists(st.integers(0, 100_000), max_size=6),
)
def test_any_text_comes_through_as_it_is(texts: list[str], cuts: list[int]) -> None:
    assume(not "".join(texts).isspace())  # which is an empty answer
    chunks = [{"choices": [{"delta": {"content": each}}]} for each in texts]
    raw = (json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks)
    data = b"".join(b"data: " + each + b"\n\n" for each in raw) + finish() + DONE
    assert said(*pieces_of(data, cuts)) == "".join(texts)


@pytest.mark.promise("foreign-bytes")
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_odd_values_in_fields_that_do_not_matter_break_nothing(value: Any) -> None:
    usage = {"prompt_tokens": value, "cost": value, "prompt_tokens_details": value}
    odd = {"id": value, "model": value, "usage": usage, "system_fingerprint": value}
    events = read(line({"delta": {"content": "a"}}, **odd), finish(), line(usage=value), DONE)
    assert events[0] == TextDelta("a")


def test_the_thoughts_of_a_chunk_come_before_its_text() -> None:
    events = read(delta(content="a", reasoning="think"), finish())
    assert events[:-1] == [ReasoningDelta("think"), TextDelta("a")]


@pytest.mark.promise("foreign-bytes")
def test_half_a_character_in_an_id_becomes_a_replacement_character() -> None:
    end = read(line({"delta": {"content": "a"}}, id="\ud83d"), finish())[-1]
    assert end == Finish(reason="stop", metadata={"generationId": "\ufffd"})


@pytest.mark.promise("foreign-bytes")
@given(st.text(_NOT_IN_TAGS, min_size=1), st.lists(st.integers(0, 1000), max_size=8))
def test_the_halves_of_a_character_are_joined_over_deltas(whole: str, cuts: list[int]) -> None:
    units = whole.encode("utf-16-le")
    places = [0, *sorted(cut % (len(units) // 2 + 1) * 2 for cut in cuts), len(units)]
    halves = [
        units[begin:end].decode("utf-16-le", "surrogatepass") for begin, end in pairwise(places)
    ]
    assert said(*map(text, halves), finish("length")) == whole
    thoughts = [delta(reasoning=half) for half in halves]
    events = read(*thoughts, text("a"), finish())
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == whole


@pytest.mark.promise("foreign-bytes", "bounded")
@pytest.mark.parametrize("split", [1, 7, 10_000])
def test_a_line_without_end_is_bounded(split: int) -> None:
    data = text("a") + b"data: " + b"x" * 600
    pieces = [data[begin : begin + split] for begin in range(0, len(data), split)]
    *said, failure = outcome(*pieces, max_line=500)
    assert said == [TextDelta("a")]
    assert "too large" in failure[0]


def test_a_line_as_long_as_allowed_is_read() -> None:
    data = text("y" * 400)
    assert read(data, finish(), max_line=len(data) - 2)[0] == TextDelta("y" * 400)
