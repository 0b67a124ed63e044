"""Readers protest at once at what no reader may ever get."""

from __future__ import annotations

import pytest

from .evidence import World, word
from .people import Broken, Reading


def reader(after: int = 0) -> tuple[Reading, list[tuple[str, str]]]:
    """A reader that has nothing yet, and the events of an answer from a place on."""
    life = World().finished
    whole = life.reading("the reader", after=after)
    events = [(str(frame.cursor), frame.data.decode()) for frame in whole.frames]
    return Reading("the reader", "c0", whole.after), events


@pytest.mark.parametrize("after", [0, 3])
def test_a_reader_takes_a_whole_answer(after: int) -> None:
    reading, events = reader(after)
    for event in events:
        reading.take(*event)
    assert reading.has_end
    assert not reading.ended
    reading.take("", "[DONE]")
    assert reading.ended
    assert len(reading.frames) == len(World().finished.records) - after


@pytest.mark.parametrize(
    ("promise", "after", "order"),
    [
        ("prefix", 0, [0, 1, 1]),
        ("prefix", 0, [0, 2, 1]),
        ("prefix", 3, [0, 1, 0]),
        ("prefix", 0, [0, 1, -1, -1]),
    ],
)
def test_a_reader_protests_at_once(promise: str, after: int, order: list[int]) -> None:
    reading, events = reader(after)
    for index in order[:-1]:
        reading.take(*events[index])
    with pytest.raises(Broken, match=f"^{promise}: "):
        reading.take(*events[order[-1]])


def test_a_reader_that_resumes_protests_at_what_it_has() -> None:
    _, events = reader()
    reading, _ = reader(after=3)
    with pytest.raises(Broken, match=r"^prefix: "):
        reading.take(*events[2])


def test_a_reader_protests_at_another_run_in_the_middle() -> None:
    reading, events = reader()
    reading.take(*events[0])
    with pytest.raises(Broken, match=r"^prefix: "):
        reading.take(str(World().stopped.cursor(2)), events[1][1])


def test_a_reader_protests_at_what_comes_after_the_end() -> None:
    reading, events = reader()
    for event in events:
        reading.take(*event)
    beyond = World().finished.cursor(len(events) + 1)
    with pytest.raises(Broken, match=r"^one-end: "):
        reading.take(str(beyond), word("too late ").decode())


def test_a_reader_protests_at_an_end_without_its_record() -> None:
    reading, events = reader()
    reading.take(*events[0])
    with pytest.raises(Broken, match=r"^one-end: "):
        reading.take("", "[DONE]")
