"""Chunks: the bytes of the constructors, and the joining of deltas."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from durable_llm_streams import chunks
from durable_llm_streams.chunks import merge
from tests.logs import ENCODINGS, encoded, logs, texts

GOLDEN = [
    (
        chunks.start("m1", {"model": "demo"}),
        b'{"type":"start","messageId":"m1","messageMetadata":{"model":"demo"}}',
    ),
    (chunks.START_STEP, b'{"type":"start-step"}'),
    (chunks.FINISH_STEP, b'{"type":"finish-step"}'),
    (chunks.RESET_STEP, b'{"type":"reset-step"}'),
    (chunks.part_start("text", "0"), b'{"type":"text-start","id":"0"}'),
    (chunks.part_end("text", "0"), b'{"type":"text-end","id":"0"}'),
    (chunks.part_start("reasoning", "r1"), b'{"type":"reasoning-start","id":"r1"}'),
    (chunks.part_end("reasoning", "r1"), b'{"type":"reasoning-end","id":"r1"}'),
    (chunks.delta_prefix("text", "0"), b'{"type":"text-delta","id":"0","delta":'),
    (chunks.delta_prefix("reasoning", "r1"), b'{"type":"reasoning-delta","id":"r1","delta":'),
    (
        chunks.metadata({"usage": {"outputTokens": 3}}),
        b'{"type":"message-metadata","messageMetadata":{"usage":{"outputTokens":3}}}',
    ),
    (
        chunks.notice({"event": "retry"}),
        b'{"type":"data-run","data":{"event":"retry"},"transient":true}',
    ),
]
GOLDEN_ENDS = [
    (
        chunks.finish("stop", {"cost": 0.5}),
        b'{"type":"finish","finishReason":"stop","messageMetadata":{"cost":0.5}}',
    ),
    (
        chunks.error('The model\nis "away".'),
        b'{"type":"error","errorText":"The model\\nis \\"away\\"."}',
    ),
    (chunks.ABORT, b'{"type":"abort"}'),
]

# A delta as this package writes it.
own_delta = st.builds(
    lambda kind, part, text: chunks.delta_prefix(kind, part) + chunks.encode(text) + b"}",
    st.sampled_from(["text", "reasoning"]),
    st.sampled_from(["0", "1"]),
    texts,
)
# Deltas of anybody else: other fields around the text, other orders, other spacing.
foreign_delta = encoded(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["text-delta", "reasoning-delta", "text-start"]),
            "id": st.sampled_from(["0", "1", '"', "\\", "ü", '","delta":"']),
            "delta": texts,
        },
        optional={
            "providerMetadata": st.just({"openai": {"itemId": '"}'}}),
            "after": texts,
            "z": st.lists(texts, max_size=1),
        },
    ).map(lambda chunk: [chunk])
).map(lambda records: records[0])
deltas = st.lists(st.one_of(own_delta, own_delta, own_delta, foreign_delta), max_size=12)


@pytest.mark.parametrize(("made", "expected"), GOLDEN + GOLDEN_ENDS)
def test_a_chunk_has_these_bytes(made: bytes, expected: bytes) -> None:
    assert made == expected


@pytest.mark.parametrize("record", [made for made, _ in GOLDEN_ENDS])
def test_finish_error_and_abort_end_a_log(record: bytes) -> None:
    assert chunks.is_terminal(record)


@pytest.mark.parametrize("record", [made for made, _ in GOLDEN])
def test_nothing_else_ends_a_log(record: bytes) -> None:
    assert not chunks.is_terminal(record)


def test_neighbouring_deltas_of_one_part_become_one() -> None:
    records = [
        chunks.part_start("text", "0"),
        b'{"type":"text-delta","id":"0","delta":"Hello"}',
        b'{"type":"text-delta","id":"0","delta":", \\"w\\u00f6rld\\""}',
        b'{"type":"text-delta","id":"0","delta":""}',
        b'{"type":"text-delta","id":"0","delta":"\\\\"}',
        chunks.part_end("text", "0"),
    ]
    assert merge(records) == [
        (0, records[0]),
        (4, b'{"type":"text-delta","id":"0","delta":"Hello, \\"w\\u00f6rld\\"\\\\"}'),
        (5, records[5]),
    ]


def test_deltas_of_different_parts_stay_apart() -> None:
    records = [
        b'{"type":"text-delta","id":"0","delta":"a"}',
        b'{"type":"text-delta","id":"1","delta":"b"}',
        b'{"type":"reasoning-delta","id":"1","delta":"c"}',
        b'{"type":"text-delta","id":"1","delta":"d"}',
        b'{"type":"text-delta","id":"11","delta":"e"}',
    ]
    assert merge(records) == list(enumerate(records))


def test_deltas_are_not_joined_over_another_chunk() -> None:
    delta = b'{"type":"text-delta","id":"0","delta":"a"}'
    assert [index for index, _ in merge([delta, delta, chunks.ABORT, delta])] == [1, 2, 3]


def test_nothing_merged_is_nothing() -> None:
    assert merge([]) == []


@pytest.mark.parametrize(
    "record",
    [
        b'{"type":"text-delta","id":"0","delta":"a","providerMetadata":{"openai":{"id":"x"}}}',
        b'{"type":"text-delta","id":"0","delta":"a","z":"b"}',
        b'{"type":"text-delta","id":"0","delta":"a\\\\","z":"b\\"}"}',
        b'{"type":"text-delta","id":"0","delta":"a","delta":"b"}',
        b'{"type":"text-delta","id":"0\\"","delta":"a"}',
        b'{"type":"text-delta","id":"","z":"\\",\\"delta\\":\\"","delta":"a"}',
        b'{"type": "text-delta", "id": "0", "delta": "a"}',
        b'{"type":"text-delta","id":"0","delta":"a" }',
        b'{"delta":"a","type":"text-delta","id":"0"}',
        b'{"type":"text-delta","delta":"a","id":"0"}',
    ],
    ids=bytes.decode,
)
def test_a_foreign_delta_is_carried_as_it_is(record: bytes) -> None:
    own = b'{"type":"text-delta","id":"0","delta":"own"}'
    assert merge([own, record, record, own]) == list(enumerate([own, record, record, own]))


def told(records: list[bytes]) -> list[tuple[Any, Any, str]]:
    """What deltas say, joined as a reader of the protocol may join them: by type and id."""
    story: list[tuple[Any, Any, str]] = []
    for record in records:
        chunk = json.loads(record)
        plain = chunk.keys() == {"type", "id", "delta"} and chunk["type"].endswith("-delta")
        rest = json.dumps({key: value for key, value in chunk.items() if key != "delta"})
        if plain and story and story[-1][:2] == (True, rest):
            story[-1] = (True, rest, story[-1][2] + chunk["delta"])
        else:
            story.append((plain, rest, chunk.get("delta", "")))
    return story


@pytest.mark.promise("history-is-fold")
@given(records=st.one_of(deltas, logs))
@example(
    records=[way({"type": "text-delta", "id": "0", "delta": '"}'}).encode() for way in ENCODINGS]
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_merging_loses_nothing_and_joins_only_what_belongs_together(records: list[bytes]) -> None:
    merged = merge(records)
    assert told([record for _, record in merged]) == told(records)
    begin = 0
    for index, record in merged:
        source = records[begin : index + 1]
        assert source, "every merged record stands for records of its own"
        if len(source) == 1:
            assert record == source[0]
        else:
            assert len(told(source)) == 1
        begin = index + 1
    assert begin == len(records)


@given(records=st.lists(own_delta, max_size=12))
def test_own_neighbouring_deltas_of_one_part_are_always_joined(records: list[bytes]) -> None:
    heads = [record.partition(b',"delta":')[0] for _, record in merge(records)]
    assert all(head != after for head, after in pairwise(heads))


@given(records=st.one_of(deltas, logs))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_merging_twice_changes_nothing_more(records: list[bytes]) -> None:
    once = [record for _, record in merge(records)]
    assert [record for _, record in merge(once)] == once
