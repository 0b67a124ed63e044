"""Tails: a process's copy of a log's end, for any input in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from durable_llm_streams.model import Epoch, Span, Status
from durable_llm_streams.store import Append, Page
from durable_llm_streams.stores.notify import Notifier, WorkSignal
from durable_llm_streams.stores.redis.live.following import Following
from durable_llm_streams.stores.redis.live.tail import Tail

FIRST, SECOND = Epoch(1, "aa"), Epoch(2, "bb")
SPANS = (Span(1, FIRST),)
TAKEN = (*SPANS, Span(4, SECOND))
RUNNING, FINISHED, STOPPED = Status.RUNNING, Status.FINISHED, Status.STOPPED

Step = Callable[[Tail], None]


def texts(*numbers: int) -> list[bytes]:
    """Records that say which they are."""
    return [b"%d" % number for number in numbers]


def page(*numbers: int, spans: tuple[Span, ...] = SPANS, status: Status = RUNNING) -> Page:
    """Records, the first of which is number 4."""
    return Page(4, texts(*numbers), 4 + len(numbers), spans, status)


def received(at: int, *numbers: int, by: bytes = b"1.aa", status: Status = RUNNING) -> Step:
    return lambda tail: tail.received(at, by, texts(*numbers), status)


def appended(at: int, *numbers: int, epoch: Epoch = FIRST) -> Step:
    return lambda tail: tail.appended(at, epoch, texts(*numbers))


def ended(at: int, *numbers: int) -> Step:
    return lambda tail: tail.ended(at, TAKEN, texts(*numbers), STOPPED)


def live(tail: Tail, next_seq: int = 4) -> None:
    """The store answers where the log ends."""
    tail.begin(Page(next_seq, (), next_seq, SPANS, RUNNING))


@pytest.fixture
async def tail() -> AsyncIterator[Tail]:
    """A tail that is about to be made live: the store has been asked where the log ends."""
    tail = Tail("channel")
    tail.making_live = asyncio.create_task(asyncio.sleep(0))
    tail.start_buffering()
    yield tail
    await tail.making_live


@pytest.mark.promise("prefix", "bounded")
@pytest.mark.parametrize(
    ("early", "expected"),
    [
        pytest.param([received(4, 4, 5), received(6, 6)], page(4, 5, 6), id="newer is not lost"),
        pytest.param([received(2, 2), received(3, 3, 4)], page(4), id="known is not doubled"),
        pytest.param([received(4, 4, status=FINISHED)], page(4, status=FINISHED), id="the end"),
        pytest.param([Tail.stale, received(4, 4)], None, id="a gap"),
        pytest.param([received(n, n) for n in range(4, 103)], page(*range(4, 103)), id="all kept"),
        pytest.param([received(n, n) for n in range(4, 104)], None, id="too much"),
    ],
)
async def test_records_received_before_the_stores_reply_are_added_to_it(
    tail: Tail, early: list[Step], expected: Page | None
) -> None:
    for step in early:
        step(tail)
    live(tail)
    assert tail.live is (expected is not None)
    assert expected is None or tail.page(3, 1000) == expected


@pytest.mark.promise("prefix")
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(
            [received(2, 2, 3), received(3, 3, 4, 5)], page(4, 5), id="exactly what is new"
        ),
        pytest.param([appended(4, 4), received(4, 4)], page(4), id="its own records come again"),
        pytest.param([ended(4, 4)] * 2, page(4, spans=TAKEN, status=STOPPED), id="its own end"),
        pytest.param([received(5, 0)], None, id="a hole"),
        pytest.param([received(4, 0, by=b"2.bb")], None, id="another epoch"),
        pytest.param([received(3, 0, 1, status=FINISHED)], None, id="an end that overlaps"),
        pytest.param([received(9, 0, status=FINISHED)], None, id="an end elsewhere"),
        pytest.param([appended(4, 4, epoch=SECOND)], None, id="own records of another epoch"),
        pytest.param([ended(7, 7)], None, id="its own end elsewhere"),
    ],
)
async def test_a_waiting_reader_gets_what_fits_and_looks_itself_otherwise(
    tail: Tail, steps: list[Step], expected: Page | None
) -> None:
    live(tail)
    reader: asyncio.Future[Page | None] = asyncio.get_running_loop().create_future()
    tail.waiters.append((reader, 1e9))
    for step in steps:
        step(tail)
    assert reader.result() == expected
    assert tail.live is (expected is not None)
    if expected is None:
        received(4, 4)(tail)
        assert tail.next_seq == 4, "a tail that may have missed something grows"
    else:
        assert tail.page(3, 1000) == expected


@pytest.mark.promise("fencing")
async def test_records_that_the_store_refused_reach_no_reader(tail: Tail) -> None:
    following = Following(cast("Any", None), cast("Any", None), Notifier(), WorkSignal())
    following._tails["run"], following._ours["run"] = tail, "1.aa"
    live(tail)
    reader: asyncio.Future[Page | None] = asyncio.get_running_loop().create_future()
    tail.waiters.append((reader, 1e9))
    following.appended([Append("run", FIRST, 4, texts(4))], [False])
    assert reader.result() is None
    assert not tail.live


@pytest.mark.promise("bounded", "prefix")
async def test_a_tail_keeps_few_of_its_records_and_reports_missing_ones(tail: Tail) -> None:
    live(tail, 1)
    for number in range(1, 101):
        tail.appended(number, FIRST, [b"%03d" % number * 400])
    assert tail.page(0, 1 << 20) is None
    assert tail.page(100, 1 << 20) == Page(101, [], 101, SPANS, RUNNING)
    assert tail.page(101, 1 << 20) is None  # beyond the log


async def test_only_readers_that_have_waited_long_enough_are_woken(tail: Tail) -> None:
    loop = asyncio.get_running_loop()
    early, late, gone = loop.create_future(), loop.create_future(), loop.create_future()
    tail.waiters += [(early, 5.0), (late, 15.0), (gone, 5.0)]
    gone.cancel()
    tail.wake_due(10.0)
    assert early.result() is None
    assert not late.done()
    assert tail.waiters == [(late, 15.0)]
