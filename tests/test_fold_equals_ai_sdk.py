"""The fold gives the same message as the unmodified AI SDK client, for any log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from durable_llm_streams.chunks import decode, merge
from durable_llm_streams.fold import Fold
from tests.logs import logs
from tests.node import PROJECT, Script, ai_sdk_fold

__all__ = ["ai_sdk_fold"]

Records = list[bytes]

TAKEOVER = [
    b'{"type":"start","messageId":"m1","messageMetadata":{"model":"demo"}}',
    b'{"type":"start-step"}',
    b'{"type":"text-start","id":"0"}',
    b'{"type":"text-delta","id":"0","delta":"a first"}',
    b'{"type":"data-run","data":{"event":"retry"},"transient":true}',
    b'{"type":"reset-step"}',
    b'{"type":"text-start","id":"0"}',
    b'{"type":"text-delta","id":"0","delta":"a second"}',
    b'{"type":"text-end","id":"0"}',
    b'{"type":"finish-step"}',
    b'{"type":"finish","finishReason":"stop","messageMetadata":{"usage":{"outputTokens":2}}}',
]
FAILED = [
    *TAKEOVER[:4],
    b'{"type":"error","errorText":"The model did not answer."}',
    b'{"type":"text-delta","id":"0","delta":"too late"}',
    b'{"type":"message-metadata","messageMetadata":{"late":true}}',
]
BROKEN = [
    *TAKEOVER[:4],
    b'{"type":"reset-step"}',
    b'{"type":"text-delta","id":"0","delta":"of a part that is gone"}',
    b'{"type":"file","url":"data:,","mediaType":"text/plain"}',
]


def message_of(records: Records) -> Any:
    """The message as a reader of the stored body gets it."""
    return json.loads(Fold.of(records).body())


def sdk_outcome_of(script: Script, records: Records, lost: int | None = None) -> Any:
    return script.ask({"records": [record.decode() for record in records], "lost": lost})


@pytest.mark.promise("history-is-fold")
@given(records=logs)
@example(records=TAKEOVER)
@example(records=FAILED)
@settings(max_examples=300, deadline=None)
def test_the_fold_of_any_log_is_the_message_of_the_ai_sdk_client(
    ai_sdk_fold: Script, records: Records
) -> None:
    theirs = sdk_outcome_of(ai_sdk_fold, records)
    fold = Fold.of(records)
    assert fold.failed == theirs["error"]
    assert message_of(records) == theirs["message"]


@pytest.mark.promise("history-is-fold", "compatible")
@given(records=logs)
@settings(max_examples=100, deadline=None)
def test_the_ai_sdk_client_sees_the_same_message_in_a_merged_log(
    ai_sdk_fold: Script, records: Records
) -> None:
    merged = [record for _, record in merge(records)]
    assert sdk_outcome_of(ai_sdk_fold, merged) == sdk_outcome_of(ai_sdk_fold, records)


@pytest.mark.promise("history-is-fold", "compatible")
@given(records=logs, data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_ai_sdk_sees_the_same_message_when_a_stream_is_replayed(
    ai_sdk_fold: Script, records: Records, data: st.DataObject
) -> None:
    lost = data.draw(st.integers(0, len(records)))
    theirs = sdk_outcome_of(ai_sdk_fold, records, lost)
    assert message_of(records) == theirs["message"]
    assert theirs["answers"] == 1


@pytest.mark.promise("history-is-fold")
def test_a_delta_of_a_closed_part_ends_the_message_as_in_the_ai_sdk(ai_sdk_fold: Script) -> None:
    theirs = sdk_outcome_of(ai_sdk_fold, BROKEN)
    assert theirs["error"].startswith("Received text-delta for missing text part")
    assert Fold.of(BROKEN).failed
    assert message_of(BROKEN) == theirs["message"]


@pytest.mark.promise("history-is-fold")
@given(records=logs)
@settings(max_examples=100, deadline=None)
def test_merging_never_changes_the_fold(records: Records) -> None:
    one_by_one = Fold()
    for record in records:
        one_by_one.apply(decode(record))
    assert json.loads(one_by_one.body()) == message_of(records)
    assert message_of([record for _, record in merge(records)]) == message_of(records)


@pytest.mark.promise("history-is-fold")
@given(records=logs, data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_log_folded_in_two_parts_gives_the_same_message_as_in_one(
    records: Records, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(records)))
    fold = Fold()
    fold.feed(records[:cut])
    fold.feed(records[cut:])
    whole = Fold.of(records)
    assert json.loads(fold.body()) == message_of(records)
    assert fold.open_parts == whole.open_parts
    assert fold.retries == whole.retries


def test_the_ai_sdk_is_pinned_and_its_lock_file_names_no_host() -> None:
    wanted = json.loads((PROJECT / "package.json").read_text())["dependencies"]["ai"]
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    assert wanted == lock["packages"]["node_modules/ai"]["version"]
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
