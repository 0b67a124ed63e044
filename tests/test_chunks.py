"""Chunks: the bytes of the constructors, and the joining of deltas."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.chunks import Lines, merge

#: Made by the test itself, not when this file is imported.
GOLDEN: list[tuple[Callable[[], bytes], str]] = [
    (
        lambda: chunks.start("m1", {"model": "demo"}),
        '{"type":"start","messageId":"m1","messageMetadata":{"model":"demo"}}',
    ),
    (lambda: chunks.START_STEP, '{"type":"start-step"}'),
    (lambda: chunks.FINISH_STEP, '{"type":"finish-step"}'),
    (lambda: chunks.RESET_STEP, '{"type":"reset-step"}'),
    (lambda: chunks.part_start("text", "0"), '{"type":"text-start","id":"0"}'),
    (lambda: chunks.part_end("text", "0"), '{"type":"text-end","id":"0"}'),
    (lambda: chunks.delta_prefix("text", "0"), '{"type":"text-delta","id":"0","delta":'),
    (
        lambda: chunks.delta_prefix("reasoning", "r1"),
        '{"type":"reasoning-delta","id":"r1","delta":',
    ),
    (
        lambda: chunks.metadata({"usage": {"outputTokens": 3}}),
        '{"type":"message-metadata","messageMetadata":{"usage":{"outputTokens":3}}}',
    ),
    (
        lambda: chunks.notice({"event": "retry"}),
        '{"type":"data-run","data":{"event":"retry"},"transient":true}',
    ),
    (
        lambda: chunks.file("image/png", "data:,"),
        '{"type":"file","url":"data:,","mediaType":"image/png"}',
    ),
    (
        lambda: chunks.source_url("s1", "https://example.org", "T"),
        '{"type":"source-url","sourceId":"s1","url":"https://example.org","title":"T"}',
    ),
    (
        lambda: chunks.source_url("s1", "https://example.org", ""),
        '{"type":"source-url","sourceId":"s1","url":"https://example.org"}',
    ),
    (
        lambda: chunks.finish("stop", {"cost": 0.5}),
        '{"type":"finish","finishReason":"stop","messageMetadata":{"cost":0.5}}',
    ),
    (
        lambda: chunks.error('The model\nis "away".'),
        '{"type":"error","errorText":"The model\\nis \\"away\\"."}',
    ),
    (lambda: chunks.ABORT, '{"type":"abort"}'),
]


@pytest.mark.parametrize(("made", "expected"), GOLDEN)
def test_a_chunk_has_these_bytes(made: Callable[[], bytes], expected: str) -> None:
    assert made() == expected.encode()
    ends = expected.split('"')[3] in ("finish", "error", "abort")
    assert chunks.is_terminal(made()) is ends


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
    parts = [("text", "0"), ("text", "1"), ("reasoning", "1"), ("text", "1"), ("text", "11")]
    records = [chunks.delta_prefix(*part) + b'"a"}' for part in parts]
    assert merge(records) == list(enumerate(records))


def test_deltas_are_not_joined_over_another_chunk() -> None:
    delta = b'{"type":"text-delta","id":"0","delta":"a"}'
    assert [index for index, _ in merge([delta, delta, chunks.ABORT, delta])] == [1, 2, 3]
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


def test_lines_are_the_sequence_of_their_records() -> None:
    lines = Lines([(b"a\nb", 2), (b"c", 1)])
    assert (len(lines), lines[1], lines[1:]) == (3, b"b", [b"b", b"c"])
    assert list(lines) == [b"a", b"b", b"c"]
    assert lines == [b"a", b"b", b"c"]
    assert lines != [b"a", b"b"]
    assert lines != 3
    assert lines.parts == [(b"a\nb", 2), (b"c", 1)]


def test_lines_are_put_together_without_taking_them_apart() -> None:
    lines = Lines([(b"a\nb", 2)])
    assert Lines.of(lines, [b"c"], []).parts == [(b"a\nb", 2), (b"c", 1)]
    many = Lines.of([b"x"] * 300)
    assert [length for _, length in many.parts] == [128, 128, 44]
    assert list(many) == [b"x"] * 300


OTHER = b'{"type":"x"}'
DELTA = b'{"type":"text-delta","id":"0","delta":"%b"}'


@pytest.mark.parametrize("size", [1, 2, 7])
def test_lines_are_merged_as_their_records_are(size: int) -> None:
    texts = [b"a", b"", b'\\"q\\"', b"b", b"\\\\", b"c"]
    records = [DELTA % text for text in texts]
    mixed = [chunks.START_STEP, *records, chunks.RESET_STEP, *records[:2], OTHER, *records]
    parts = [mixed[at : at + size] for at in range(0, len(mixed), size)]
    lines = Lines([(b"\n".join(part), len(part)) for part in parts])
    whole = DELTA % b"".join(texts)
    expected = [
        (0, chunks.START_STEP),
        (6, whole),
        (7, chunks.RESET_STEP),
        (9, DELTA % b"a"),
        (10, OTHER),
        (16, whole),
    ]
    assert merge(mixed) == expected
    assert merge(lines) == expected


def test_lines_of_different_parts_stay_apart() -> None:
    other = DELTA.replace(b'"0"', b'"1"')
    lines = Lines([(DELTA % b"a" + b"\n" + DELTA % b"b", 2), (other % b"c", 1)])
    assert merge(lines) == [(1, DELTA % b"ab"), (2, other % b"c")]


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([DELTA % b"a"], b"a"),
        ([DELTA % b"a", DELTA % b'\\"', DELTA % b""], b'a\\"'),
        ([DELTA % b"a", DELTA % b"\\\\"], None),  # a quote behind it may end the text
        ([DELTA % b"a", chunks.ABORT], None),
        ([chunks.ABORT, DELTA % b"a"], None),
        ([DELTA % b"a", (DELTA % b"b")[:-1] + b',"z":"c"}'], None),
        ([DELTA % b"a", DELTA.replace(b"0", b"1") % b"b"], None),
    ],
)
def test_plain_deltas_are_joined_all_at_once(records: list[bytes], text: bytes | None) -> None:
    head = chunks._delta_head(DELTA % b"")
    assert head == b'{"type":"text-delta","id":"0","delta":"'
    assert chunks._text_of_deltas(b"\n".join(records), len(records), head) == text
