"""Chunks: the bytes of the constructors, and the joining of deltas."""

from __future__ import annotations

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.chunks import merge

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
