"""Chunks: the events of the AI SDK UI message stream, as JSON bytes.

One function for each chunk that this package writes. The bytes are canonical (no spaces, `type` and
`id` first, `delta` last), so `merge` can join deltas without parsing them. Other chunks in a log
are kept unchanged.
Source of the format: the chunk table of `ai` 7 (`ui-message-stream/ui-message-chunks.ts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, overload

import msgspec

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder().decode

START_STEP: Final = b'{"type":"start-step"}'
FINISH_STEP: Final = b'{"type":"finish-step"}'
RESET_STEP: Final = b'{"type":"reset-step"}'
ABORT: Final = b'{"type":"abort"}'

_TERMINAL = (b'{"type":"finish"', b'{"type":"error"', b'{"type":"abort"')
_TEXT_DELTA = b'{"type":"text-delta","id":"'
_REASONING_DELTA = b'{"type":"reasoning-delta","id":"'
_DELTA = b'","delta":"'
_NO_HEAD = b"\n"  # no record begins with a line feed
_BLOCK = 128
#: The inside of one JSON string, its end, and the end of the record. Linear in the record's size.
_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"}', re.DOTALL)


def start(message_id: str, metadata: Mapping[str, Any]) -> bytes:
    """The first record of every log."""
    return encode({"type": "start", "messageId": message_id, "messageMetadata": metadata})


def delta_prefix(kind: str, part: str) -> bytes:
    """The bytes before the JSON string of every delta of a part.

    Args:
        kind: `text` or `reasoning`.
        part: the part's id, letters and digits.
    """
    return f'{{"type":"{kind}-delta","id":"{part}","delta":'.encode()


def part_start(kind: str, part: str) -> bytes:
    """`text-start` or `reasoning-start`."""
    return f'{{"type":"{kind}-start","id":"{part}"}}'.encode()


def part_end(kind: str, part: str) -> bytes:
    """`text-end` or `reasoning-end`."""
    return f'{{"type":"{kind}-end","id":"{part}"}}'.encode()


def file(media_type: str, url: str) -> bytes:
    """`file`: a whole part, a picture for instance.

    Args:
        media_type: such as `image/png`.
        url: a `data:` URL or an address.
    """
    return encode({"type": "file", "url": url, "mediaType": media_type})


def source_url(source_id: str, url: str, title: str) -> bytes:
    """`source-url`: a whole part, a page that the answer refers to.

    Args:
        source_id: unique within the message.
        url: of the page.
        title: of the page, or "".
    """
    about = {"title": title} if title else {}
    return encode({"type": "source-url", "sourceId": source_id, "url": url, **about})


def metadata(values: Mapping[str, Any]) -> bytes:
    """`message-metadata`: merged deeply into the message's metadata."""
    return encode({"type": "message-metadata", "messageMetadata": values})


def finish(reason: str, values: Mapping[str, Any]) -> bytes:
    """`finish`, a terminal record."""
    return encode({"type": "finish", "finishReason": reason, "messageMetadata": values})


def error(text: str) -> bytes:
    """`error`, a terminal record. Clients show the text to people."""
    return encode({"type": "error", "errorText": text})


def notice(values: Mapping[str, Any]) -> bytes:
    """A transient `data-run` chunk: an event of the run, for readers and for the next worker.

    It leaves no trace in the message. `event` is one of:

    - `retry`: an attempt failed. `attempt`, `attempts`, `delay` (seconds) and `reason` of the next
      one; `usage` and `cost` of the failed one, if they are known.
    - `takeover`: another worker goes on. `attempt`.
    - `rung`: the rung was refused, and the same attempt goes on with the next one.
    - `judged`: the model was asked in words to go on, and the beginning of its text was judged.
      `rung`: `continue`, or `restart` if it began anew (then `asked` is `continue`, and the reset
      of the step follows). `held` and `dropped`: how many characters were held back, and how many
      of them are not shown.
    - `job`: the provider keeps this answer under the id `job`, and the log has its output up to
      `mark`.

    The first three name the `rung` that is taken. For `restart`, `repeated` is the number of
    characters (Unicode code points, of text and reasoning) that readers drop and the model writes
    again.
    """
    return encode({"type": "data-run", "data": values, "transient": True})


def is_terminal(record: bytes) -> bool:
    """Whether a record written by this package ends its log."""
    return record.startswith(_TERMINAL)


class Lines(Sequence[bytes]):
    """Records as stores keep them: joined by line feeds, and split only on access.

    Args:
        parts: pairs of (records joined by line feeds, their number), none of them empty.
    """

    __slots__ = ("_records", "parts")

    def __init__(self, parts: Sequence[tuple[bytes, int]]) -> None:
        self.parts = parts
        self._records: list[bytes] | None = None

    @classmethod
    def of(cls, *sequences: Sequence[bytes]) -> Lines:
        """The concatenation of several sequences of records."""
        parts: list[tuple[bytes, int]] = []
        for records in sequences:
            parts += records.parts if isinstance(records, Lines) else _parts(records)
        return cls(parts)

    def __len__(self) -> int:
        return sum(length for _, length in self.parts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return self._apart()[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._apart())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._apart() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _apart(self) -> list[bytes]:
        if self._records is None:
            self._records = [line for data, _ in self.parts for line in data.split(b"\n")]
        return self._records


def _parts(records: Sequence[bytes]) -> list[tuple[bytes, int]]:
    blocks = (records[begin : begin + _BLOCK] for begin in range(0, len(records), _BLOCK))
    return [(b"\n".join(block), len(block)) for block in blocks]


def merge(records: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Join adjacent deltas of one part.

    Args:
        records: chunks in log order.

    Returns:
        Pairs of (index of the last joined record, chunk). The fold of the result equals the fold
        of the records.
    """
    merged: list[tuple[int, bytes]] = []
    head, texts, begin = _NO_HEAD, list[bytes](), 0
    for data, length in records.parts if isinstance(records, Lines) else _parts(records):
        if not texts:
            head = _delta_head(data.split(b"\n", 1)[0])
        text = _text_of_deltas(data, length, head)
        if text is not None:
            texts.append(text)
        else:
            for index, record in enumerate(data.split(b"\n"), begin):
                if record.startswith(head) and _is_one_string(record, len(head)):
                    texts.append(record[len(head) : -2])
                    continue
                if texts:
                    merged.append((index - 1, head + b"".join(texts) + b'"}'))
                    texts = []
                head = _delta_head(record)
                if head == _NO_HEAD:
                    merged.append((index, record))
                else:
                    texts.append(record[len(head) : -2])
        begin += length
    if texts:
        merged.append((begin - 1, head + b"".join(texts) + b'"}'))
    return merged


def _text_of_deltas(data: bytes, length: int, head: bytes) -> bytes | None:
    """The joined text of deltas that all begin with `head`; None when that is not certain.

    It counts quotes in all of them at once. Each delta is JSON, so it has at least the quotes of
    the head and the closing one. If no backslash follows another, a quote after a backslash is part
    of a text. So if there are no more quotes than that, each delta is one string and nothing else.
    """
    quotes = data.count(b'"')
    if b"\\" in data:
        quotes -= data.count(b'\\"')
        if b"\\\\" in data:
            return None
    if quotes != length * (head.count(b'"') + 1) or not data.startswith(head):
        return None
    texts = data.split(b'"}\n' + head)
    if len(texts) != length:
        return None
    return b"".join(texts)[len(head) : -2]


def _delta_head(record: bytes) -> bytes:
    """The bytes of a canonical delta before its text; a lone line feed for every other record."""
    for kind in (_TEXT_DELTA, _REASONING_DELTA):
        if record.startswith(kind):
            end = record.find(b'"', len(kind))
            head = record[: end + len(_DELTA)]
            if head.endswith(_DELTA) and b"\\" not in head and _is_one_string(record, len(head)):
                return head
    return _NO_HEAD


def _is_one_string(record: bytes, begin: int) -> bool:
    """Whether the rest is the inside of one JSON string, then `"}`, and nothing more."""
    return record.find(b'"', begin) == len(record) - 2 or _REST.fullmatch(record, begin) is not None
