"""Server-sent events: golden bytes, the rules of the standard, any split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_llm_streams.model import Cursor
from durable_llm_streams.wire import sse
from durable_llm_streams.wire.sse import EventTooLarge, FrameEncoder, SSEEvent, SSEParser


def parsed(data: bytes) -> list[SSEEvent]:
    return SSEParser().feed(data)


def test_a_frame_is_an_id_and_a_line_of_data() -> None:
    assert sse.frame("run.00000001.ab", b'{"type":"start"}') == (
        b'id: run.00000001.ab\ndata: {"type":"start"}\n\n'
    )
    assert sse.frames("run", "ab", 255, [b"{}", b"[]"]) == (
        b"id: run.000000ff.ab\ndata: {}\n\nid: run.00000100.ab\ndata: []\n\n"
    )
    assert sse.frames("run", "", 1, []) == b""
    assert sse.opening() == b": stream-open\nretry: 1000\n\n"
    assert sse.opening(50) == b": stream-open\nretry: 50\n\n"
    assert sse.HEARTBEAT == b": keep-alive\n\n"
    assert sse.DONE == b"data: [DONE]\n\n"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a1", "b2"]),
            st.integers(1, 0xFFFF_FFF0),
            st.lists(st.sampled_from([b"{}", '{"é":1}'.encode()]), max_size=4),
        )
    )
)
def test_an_encoder_in_any_state_writes_the_cursors_of_the_records(
    calls: list[tuple[str, int, list[bytes]]],
) -> None:
    encoder = FrameEncoder("run")
    for token, first, records in calls:
        numbered = list(enumerate(records, first))
        expected = b"".join(
            sse.frame(str(Cursor("run", seq, token)), record) for seq, record in numbered
        )
        assert encoder.frames(token, first, records) == expected
        assert encoder.merged(token, numbered) == expected


def test_what_the_encoder_writes_the_parser_reads() -> None:
    stream = sse.opening() + sse.frames("r", "t", 9, [b"{}", b"[1]"]) + sse.HEARTBEAT + sse.DONE
    parser = SSEParser()
    assert parser.feed(stream) == [
        SSEEvent("r.00000009.t", "message", "{}"),
        SSEEvent("r.0000000a.t", "message", "[1]"),
        SSEEvent("r.0000000a.t", "message", sse.DONE_DATA),
    ]
    assert parser.retry == 1000


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        # The examples of the standard.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("", "message", "YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
            [("1", "message", "first"), ("", "message", "second"), ("", "message", " third")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [("", "message", ""), ("", "message", "\n")]),
        (b"data:test\n\ndata: test\n\n", [("", "message", "test")] * 2),
        # Line ends.
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [("", "message", c) for c in "abc"]),
        (b"data: a\r\n\n", [("", "message", "a")]),
        # A byte order mark counts only at the very beginning.
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [("", "message", "a")]),
        # Types are for one event, ids for all that follow.
        (b"event: x\nid: 7\ndata: a\n\ndata: b\n\n", [("7", "x", "a"), ("7", "message", "b")]),
        (b"event: x\n\ndata: a\n\n", [("", "message", "a")]),
        (b"id: 7\n\ndata: a\n\n", [("7", "message", "a")]),
        (b"id: 7\nid: a\0b\ndata: a\n\n", [("7", "message", "a")]),
        # What is not finished was not sent; what is unknown is passed over.
        (b"data: a\n", []),
        (b"data: a\n\ndata: b\n", [("", "message", "a")]),
        (b"foo: bar\nDATA: x\n data: y\ndata : z\n\n", []),
        (b"data: \xff\n\n", [("", "message", "\ufffd")]),
    ],
)
def test_streams_are_read_as_the_standard_says(
    stream: bytes, events: list[tuple[str, str, str]]
) -> None:
    expected = [SSEEvent(*event) for event in events]
    assert parsed(stream) == expected
    parser = SSEParser()
    assert [event for at in stream for event in parser.feed(bytes([at]))] == expected


def test_retry_takes_digits_only() -> None:
    parser = SSEParser()
    assert parser.retry is None
    for value, expected in ((b"10", 10), (b"1s", 10), (b"", 10), (b"-5", 10), (b"0", 0)):
        parser.feed(b"retry: " + value + b"\n")
        assert parser.retry == expected, value


@pytest.mark.promise("foreign-bytes", "bounded")
@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 200, b"data: xxxxx\n" * 30, b": " + b"x" * 200 + b"\n"]
)
def test_an_event_beyond_the_bound_is_an_error_however_it_is_split(stream: bytes) -> None:
    with pytest.raises(EventTooLarge):
        SSEParser(max_event_bytes=100).feed(stream)
    parser = SSEParser(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        for at in range(len(stream)):
            parser.feed(stream[at : at + 1])


def test_the_bound_is_of_all_data_of_an_event_and_of_the_line_that_comes() -> None:
    line = b"data: aaaa\n"
    parser = SSEParser(max_event_bytes=20)
    parser.feed(line * 3)
    with pytest.raises(EventTooLarge, match="more than 20 bytes"):
        parser.feed(line)
    found = SSEParser(max_event_bytes=20).feed((line * 3 + b"\n") * 1000)
    assert found == [SSEEvent("", "message", "aaaa\naaaa\naaaa")] * 1000
