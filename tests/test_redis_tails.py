"""Tails: what a process knows of a log's end, whatever it hears in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from durable_llm_streams.model import Epoch, Span, Status
from durable_llm_streams.store import Page
from durable_llm_streams.stores.redis.live.tail import Tail

FIRST, SECOND = Epoch(1, "aa"), Epoch(2, "bb")
SPANS = (Span(1, FIRST),)
RUNNING, FINISHED = Status.RUNNING, Status.FINISHED


def place(next_seq: int, spans: tuple[Span, ...] = SPANS, status: Status = RUNNING) -> Page:
    """Where a log ends, as the store tells."""
    return Page(next_seq, (), next_seq, spans, status)


def texts(*numbers: int) -> list[bytes]:
    """Records that say which they are."""
    return [b"%d" % number for number in numbers]


@pytest.fixture
async def tail() -> AsyncIterator[Tail]:
    """A tail that is about to be made live: it has been asked where the log ends."""
    tail = Tail("channel")
    tail.making_live = asyncio.create_task(asyncio.sleep(0))
    tail.begin_early()
    yield tail
    await tail.making_live


def live(tail: Tail, next_seq: int = 4) -> Tail:
    tail.begin(place(next_seq))
    assert tail.live
    return tail


def waiting(tail: Tail) -> asyncio.Future[Page | None]:
    reader: asyncio.Future[Page | None] = asyncio.get_running_loop().create_future()
    tail.waiters.append((reader, 1e9))
    return reader


@pytest.mark.promise("prefix")
async def test_what_is_heard_before_the_answer_and_is_newer_is_not_lost(tail: Tail) -> None:
    tail.heard(4, b"1.aa", texts(4, 5), RUNNING)
    tail.heard(6, b"1.aa", texts(6), RUNNING)
    live(tail, 4)
    assert tail.next_seq == 7
    assert tail.page(3, 1000) == Page(4, texts(4, 5, 6), 7, SPANS, RUNNING)


@pytest.mark.promise("prefix")
async def test_what_is_heard_before_the_answer_and_is_in_it_is_not_doubled(tail: Tail) -> None:
    tail.heard(2, b"1.aa", texts(2), RUNNING)
    tail.heard(3, b"1.aa", texts(3, 4), RUNNING)
    live(tail, 4)
    assert tail.page(3, 1000) == Page(4, texts(4), 5, SPANS, RUNNING)


async def test_an_end_that_is_heard_before_the_answer_is_known(tail: Tail) -> None:
    tail.heard(4, b"1.aa", texts(4), FINISHED)
    tail.begin(place(4))
    assert tail.status is FINISHED
    assert tail.next_seq == 5


@pytest.mark.promise("prefix")
async def test_a_tail_that_went_stale_before_the_answer_is_not_live(tail: Tail) -> None:
    tail.stale()
    tail.begin(place(4))
    assert not tail.live


@pytest.mark.promise("prefix", "bounded")
async def test_too_much_before_the_answer_makes_no_live_tail(tail: Tail) -> None:
    for number in range(1000):
        tail.heard(4 + number, b"1.aa", texts(number), RUNNING)
    tail.begin(place(4))
    assert not tail.live


@pytest.mark.promise("prefix")
async def test_a_waiting_reader_gets_exactly_what_is_new(tail: Tail) -> None:
    live(tail)
    reader = waiting(tail)
    tail.heard(2, b"1.aa", texts(2, 3), RUNNING)
    assert not reader.done()
    tail.heard(3, b"1.aa", texts(3, 4, 5), RUNNING)
    assert reader.result() == Page(4, texts(4, 5), 6, SPANS, RUNNING)


@pytest.mark.promise("prefix")
async def test_this_processes_own_records_heard_again_are_known(tail: Tail) -> None:
    live(tail)
    tail.appended(4, FIRST, texts(4))
    tail.heard(4, b"1.aa", texts(4), RUNNING)
    assert tail.page(3, 1000) == Page(4, texts(4), 5, SPANS, RUNNING)


@pytest.mark.promise("prefix")
@pytest.mark.parametrize(
    ("at", "by", "count", "status"),
    [
        (5, b"1.aa", 1, RUNNING),  # a hole
        (4, b"2.bb", 1, RUNNING),  # another epoch
        (3, b"1.aa", 2, FINISHED),  # an end that begins before what is known
        (9, b"1.aa", 1, FINISHED),
    ],
)
async def test_what_does_not_fit_makes_the_tail_stale_and_lets_readers_look(
    tail: Tail, at: int, by: bytes, count: int, status: Status
) -> None:
    live(tail)
    reader = waiting(tail)
    tail.heard(at, by, texts(*range(count)), status)
    assert not tail.live
    assert reader.result() is None
    tail.heard(4, b"1.aa", texts(4), RUNNING)
    assert tail.next_seq == 4


@pytest.mark.promise("prefix")
async def test_own_records_under_an_epoch_that_is_over_make_it_stale(tail: Tail) -> None:
    live(tail)
    tail.appended(4, SECOND, texts(4))
    assert not tail.live


@pytest.mark.promise("prefix")
async def test_the_end_by_this_process_brings_its_epoch_and_its_records(tail: Tail) -> None:
    live(tail)
    reader = waiting(tail)
    spans = (*SPANS, Span(4, SECOND))
    tail.ended(4, spans, texts(4), Status.STOPPED)
    assert reader.result() == Page(4, texts(4), 5, spans, Status.STOPPED)
    tail.ended(4, spans, texts(4), Status.STOPPED)  # a repetition
    assert tail.next_seq == 5


@pytest.mark.promise("prefix")
async def test_an_end_elsewhere_than_where_the_log_ends_here_makes_it_stale(tail: Tail) -> None:
    live(tail)
    tail.ended(7, SPANS, texts(7), FINISHED)
    assert not tail.live


@pytest.mark.promise("bounded", "prefix")
async def test_a_tail_keeps_few_of_its_records_and_says_what_it_does_not_have(tail: Tail) -> None:
    live(tail, 1)
    for number in range(1, 101):
        tail.appended(number, FIRST, [b"%03d" % number * 400])
    assert tail.page(0, 1 << 20) is None
    assert tail.page(100, 1 << 20) == Page(101, [], 101, SPANS, RUNNING)
    assert tail.page(101, 1 << 20) is None  # beyond the log


async def test_only_those_are_let_go_who_have_waited_long_enough(tail: Tail) -> None:
    live(tail)
    loop = asyncio.get_running_loop()
    early, late, gone = loop.create_future(), loop.create_future(), loop.create_future()
    tail.waiters += [(early, 5.0), (late, 15.0), (gone, 5.0)]
    gone.cancel()
    tail.wake_due(10.0)
    assert early.result() is None
    assert not late.done()
    assert tail.waiters == [(late, 15.0)]
