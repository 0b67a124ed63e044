"""What a client sends and what a server sends: cursors, requests, event streams, problems."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from durable_llm_streams.chunks import Lines, merge
from durable_llm_streams.client import _answers
from durable_llm_streams.client._retry import Cut
from durable_llm_streams.errors import CursorLost, DurableError, InvalidCursor
from durable_llm_streams.model import Cursor
from durable_llm_streams.wire.sse import EventTooLarge, SSEEvent, SSEParser
from tests.fuzz.harness import splits

_SMALL_EVENT = 64
_LAST_SEQ = 0xFFFF_FFFF


def literal(stream: bytes) -> list[SSEEvent]:
    """Section 9.2.6 of the standard, word for word, on the decoded text."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    events = []
    data, kind, last_id = "", "", ""
    for line in text.split("\n")[:-1]:
        if line == "":
            if data != "":
                events.append(SSEEvent(last_id, kind or "message", data[:-1]))
            data, kind = "", ""
            continue
        field, colon, value = line.partition(":")
        if colon and value.startswith(" "):
            value = value[1:]
        if field == "data":
            data += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


def event_stream(data: bytes) -> None:
    """However it is cut, a stream gives the events that the standard says."""
    expected = literal(data)
    for pieces in ([data], *splits(data)):
        parser = SSEParser()
        assert [event for piece in pieces for event in parser.feed(piece)] == expected
        assert parser.retry is None or parser.retry >= 0
    too_large = _is_too_large([data])
    for pieces in splits(data):
        assert _is_too_large(pieces) == too_large


def _is_too_large(pieces: list[bytes]) -> bool:
    parser = SSEParser(max_event_bytes=_SMALL_EVENT)
    try:
        for piece in pieces:
            parser.feed(piece)
            assert len(parser._line) + parser._size <= _SMALL_EVENT
    except EventTooLarge:
        return True
    return False


def answer(data: bytes) -> None:
    """The client hands out chunks in the order of their cursors, or gives the connection up."""
    whole = _read_answer([data])
    for pieces in splits(data):
        assert _read_answer(pieces) == whole


def _read_answer(pieces: list[bytes]) -> list[Any]:
    reading = _answers.Reading(None)
    reading.connect()
    told: list[Any] = []
    try:
        for piece in pieces:
            for event in reading.feed(piece):
                assert isinstance(event.chunk, dict)
                assert reading.cursor == event.cursor
                told.append(event)
            if reading.ended:
                break
    except (Cut, DurableError) as error:
        return [*told, str(error)]
    return told


def server_answer(data: bytes) -> None:
    """Three digits of a status, what `Retry-After` says, a line feed, the problem document."""
    head, _, body = data.partition(b"\n")
    status = int(head[:3]) if head[:3].isdigit() else 400
    headers = {"Retry-After": head[3:].decode(errors="surrogateescape").strip()}
    for joined in (False, True):
        outcome = asyncio.run(_outcome(status, headers, body, joined=joined))
        if isinstance(outcome, Cut):
            assert 0 <= outcome.retry_after < float("inf")
        elif isinstance(outcome, _answers.ServerRefused):
            assert outcome.status == status
        elif isinstance(outcome, CursorLost):
            assert status in (204, 410)


async def _outcome(status: int, headers: dict[str, str], body: bytes, *, joined: bool) -> object:
    content = asyncio.StreamReader()
    content.feed_data(body)
    content.feed_eof()
    kind = "application/problem+json"
    response = SimpleNamespace(
        status=status, headers=headers, content_type=kind, content=content, method="GET"
    )
    try:
        return await _answers.check_stream(cast("aiohttp.ClientResponse", response), joined=joined)
    except (Cut, _answers.ServerRefused, CursorLost) as error:
        return error


def cursor(data: bytes) -> None:
    """A valid cursor prints the same and keeps its number; all else is refused."""
    text = data.decode(errors="surrogateescape")
    try:
        place = Cursor.parse(text)
    except InvalidCursor:
        return
    assert str(place) == text
    assert text.isascii()
    for seq in (0, place.seq - 1, place.seq + 1, place.seq * 2, _LAST_SEQ):
        other = place._replace(seq=min(max(seq, 0), _LAST_SEQ))
        assert (str(other) < text) == (other.seq < place.seq)
        assert Cursor.parse(str(other)) == other


def merged_records(data: bytes) -> None:
    """Joined deltas give the same text as single ones, however a store returns the records."""
    records = [line for line in data.split(b"\n") if _is_chunk(line)]
    expected = _story(records)
    half = len(records) // 2
    for given in (records, Lines.of(records), Lines.of(records[:half], records[half:])):
        pairs = merge(given)
        merged = [chunk for _, chunk in pairs]
        assert _story(merged) == expected
        assert [chunk for _, chunk in merge(merged)] == merged
        indices = [index for index, _ in pairs]
        assert indices == sorted(set(indices))
        assert indices[-1:] == ([len(records) - 1] if records else [])


def _is_chunk(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and b"\r" not in line


def _story(records: list[bytes]) -> list[Any]:
    """The content of records, with neighbouring plain deltas of a part joined."""
    told: list[Any] = []
    for record in records:
        pairs = json.loads(record, object_pairs_hook=list)
        last: Any = told[-1] if told else None
        if _is_delta(pairs) and _is_delta(last) and pairs[:2] == last[:2]:
            told[-1] = [*last[:2], ("delta", last[2][1] + pairs[2][1])]
        else:
            told.append(pairs)
    return told


def _is_delta(pairs: Any) -> bool:
    if not isinstance(pairs, list) or [pair[0] for pair in pairs] != ["type", "id", "delta"]:
        return False
    (_, kind), (_, part), (_, delta) = pairs
    kinds = ("text-delta", "reasoning-delta")
    return kind in kinds and isinstance(part, str) and isinstance(delta, str)
