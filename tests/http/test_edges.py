"""The edges of what is taken, what every answer carries, and what operators see."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.fold import Fold
from durable_llm_streams.ids import new_id
from durable_llm_streams.log import Reader as LogReader
from durable_llm_streams.model import Chat, Cursor, Epoch, Message, Run, Span, Status, token_at
from durable_llm_streams.server.chats import _snapshot
from durable_llm_streams.server.open_streams import OpenStreams
from durable_llm_streams.server.sending import _title
from durable_llm_streams.server.streams import RunStream
from durable_llm_streams.store import Page, Snapshot
from tests.app import JSON, App, Guest, Reading, running_app, story, user
from tests.stub_server import text_log


async def test_what_is_just_within_its_limit_is_taken(tmp_path: Path) -> None:
    text, key = "é" * 50, {"Idempotency-Key": "k" * 200}
    body = {"id": "c1", "message": user("m1", text)}
    limits: JSON = {"max_body_bytes": len(json.dumps(body)), "max_message_bytes": 100}
    async with running_app(tmp_path, **limits, store_patience=7.0) as app, app.guest() as guest:
        assert app.shared.streams.store_timeout == 7.0
        assert (await guest.post(body, headers=key)).end == "finish"
        assert (await guest.post({**body, "id": "c12"})).status == 413
        assert (await guest.send("x" * 101)).status == 400
        for query in ("limit=1", "limit=100", "q=" + "x" * 200):
            assert (await guest.get(f"/api/chats?{query}")).status == 200, query
        for title in ("x", "x" * 200):
            renamed = await guest.call("PATCH", "/api/chats/c1", json={"title": title})
            assert renamed.json["title"] == title


async def test_an_outage_is_logged_once_and_the_next_one_again(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def unavailable() -> None:
        raise StoreUnavailable("The disk is full.")

    for outages in (1, 2):
        with monkeypatch.context() as outage:
            outage.setattr(app.store, "check", unavailable)
            for _ in range(3):
                reading = await guest.get("/readyz")
                assert (reading.status, reading.raw) == (503, b"the store is not available\n")
        reading = await guest.get("/readyz")
        assert (reading.status, reading.raw) == (200, b"ok\n")
        assert [each.getMessage() for each in caplog.records].count(
            "Not ready: The disk is full."
        ) == outages
    app.worker.drain()
    reading = await guest.get("/readyz")
    assert (reading.status, reading.raw) == (503, b"the worker accepts no runs\n")


def test_ids_sort_by_time_and_differ() -> None:
    times = [1, 2, 31, 32, 1_700_000_000_000, 1_700_000_000_001, (1 << 50) - 1]
    ids = [new_id(time) for time in times for _ in range(20)]
    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {22}
    assert [each[:10] for each in ids] == sorted(each[:10] for each in ids)
    assert len({each[:10] for each in ids}) == len(times)
    assert set("".join(ids)) <= set("0123456789abcdefghjkmnpqrstvwxyz")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (" one\n two ", "one two"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("x" * 78 + " yz", "x" * 78 + "…"),
    ],
)
def test_a_title_is_one_line_of_at_most_eighty_characters(text: str, title: str) -> None:
    assert _title(text) == title


@pytest.mark.promise("prefix")
def test_the_snapshot_of_a_run_that_was_taken_over_has_the_last_epochs_cursor() -> None:
    records = text_log("Hel", "lo")[:5]
    spans = (Span(1, Epoch(1, "aa")), Span(4, Epoch(2, "bb")), Span(6, Epoch(3, "cc")))
    chat = Chat(id="c1", owner="o", title="T", created_at=0, updated_at=1, active_run="r1")
    run = Run(id="r1", owner="ann", chat_id="c1", prompt_id="m1", message_id="a1", model="small",
              status=Status.RUNNING, created_at=0, spans=spans)  # fmt: skip
    question = Message(id="m1", parent=None, role="user", body=b'{"id":"m1"}', created_at=0)
    answer = Message(id="a1", parent="m1", role="assistant", body=b"", created_at=0)
    log = Page(1, records, 6, spans, Status.RUNNING)
    versions = [("m1", None, "user"), ("a1", "m1", "assistant")]
    shown = _snapshot(Snapshot(chat, [question, answer], versions, run, log))
    assert shown["active_run"] == {
        "id": "r1", "message_id": "a1", "model": "small", "status": "running",
        "cursor": "r1.00000005.bb",
    }  # fmt: skip
    assert [json.loads(bytes(each)) for each in shown["messages"]] == [
        {"id": "m1"}, json.loads(Fold.of(records).body())
    ]  # fmt: skip
    assert shown["versions"][1] == {"id": "a1", "parent": "m1", "role": "assistant"}
    times = shown["created_at"], shown["updated_at"]
    assert times == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.001Z")
    assert (shown["id"], shown["title"], shown["active"]) == ("c1", "T", True)


class _Log:
    """A log that is read in pages which a seed chooses."""

    def __init__(self, records: list[bytes], spans: tuple[Span, ...], seed: int) -> None:
        self._records, self._spans, self._random = records, spans, random.Random(seed)
        self._told: tuple[Span, ...] = ()

    async def read(self, _: str, after: int, *, max_bytes: int = 0, wait: float = 0.0) -> Page:
        count = self._random.choice([0, 1, 1, 1, 2, 8, 9, 20])
        records = self._records[after : after + count]
        last = after + len(records)
        spans = tuple(span for span in self._spans if span.first <= last + 1)
        if spans != self._told or self._random.random() < 0.2:
            self._told = spans  # stores hand the same tuple out again, or an equal one
        behind = self._random.choice([last, len(self._records)])
        ended = Status.FINISHED if behind == len(self._records) else Status.RUNNING
        return Page(after + 1, records, behind + 1, self._told, ended)


@pytest.mark.promise("prefix")
async def test_every_event_names_the_epoch_that_wrote_it_whatever_the_pages() -> None:
    records = text_log(*(f"{number} " for number in range(60)))
    spans = tuple(Span(first, Epoch(n, f"{n:04x}")) for n, first in enumerate((1, 5, 6, 30, 50)))
    uncut = Reading(200, {"content-type": "text/event-stream"}, b"".join(
        b"data: %b\n\n" % record for record in records))  # fmt: skip
    for seed in range(40):
        start = random.Random(seed).choice([0, 4, 5, 29, 49])
        place = Cursor("run", start, token_at(spans, start))
        sent = await _sent(
            RunStream(OpenStreams(), LogReader(_Log(records, spans, seed), place), {})
        )
        expected = [str(Cursor("run", seq, token_at(spans, seq)))
                    for seq in (Cursor.parse(each).seq for each in sent.ids)]  # fmt: skip
        assert sent.ids == expected, seed
        assert sent.ids == sorted(set(sent.ids)), seed
        assert sent.ids[0] > str(place), seed
        assert sent.done, seed
        assert story([*uncut.frames[:start], *sent.records]) == story(uncut.frames), seed


async def _sent(stream: RunStream) -> Reading:
    """All that a stream sends to a client that stays."""
    raw = bytearray()

    async def send(message: MutableMapping[str, Any]) -> None:
        raw.extend(message["body"])

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("nothing is received")

    await stream.run(receive, send)
    return Reading(200, {"content-type": "text/event-stream"}, bytes(raw))
