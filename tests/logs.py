"""Logs to test with: every chunk that a log may hold, in an order that a log may have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

Chunk = dict[str, Any]

#: Characters that line splitters, JSON encoders and byte searches stumble over.
AWKWARD = '\u2028\u2029\u0085\n\r\t\x00\x1f\x7f"\\/{}[],:😀é中\u200d\ufeff\uffff'

texts = st.one_of(
    st.text(st.sampled_from(AWKWARD + "ab "), max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(['"}', '\\"}', '","x":"', "\\", '"', '{"type":"text-delta","id":"0"', ""]),
)
names = st.sampled_from(["0", "1", "a", "ü", 'q"', "back\\slash", "constructor", "__proto__"])
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15)
#: No `__proto__`, no `prototype`: the SDK's parser takes some of their uses for an attack.
keys = st.sampled_from(["a", "b", "1", "constructor"])
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)
metadata = st.dictionaries(
    st.sampled_from(["usage", "model"]),
    st.dictionaries(keys, values, max_size=3) | values,
    max_size=2,
)
provider_metadata = st.dictionaries(
    st.sampled_from(["openai", "anthropic"]), st.dictionaries(keys, texts, max_size=2), max_size=2
)


def _chunk(
    *kinds: str,
    optional: Mapping[str, st.SearchStrategy[Any]] | None = None,
    **fields: st.SearchStrategy[Any],
) -> st.SearchStrategy[Chunk]:
    kind = {"type": st.sampled_from(kinds)}
    return st.fixed_dictionaries({**kind, **fields}, optional=dict(optional or {}))


_META = {"providerMetadata": provider_metadata}
_PLAIN = [
    _chunk("source-url", sourceId=names, url=texts, optional={"title": texts, **_META}),
    _chunk(
        "source-document",
        sourceId=names,
        mediaType=texts,
        title=texts,
        optional={"filename": texts, **_META},
    ),
    _chunk(
        *("file", "reasoning-file"),
        url=texts,
        mediaType=texts,
        optional={"filename": texts, **_META},
    ),
    _chunk("custom", kind=st.just("openai.thing"), optional={"unknown": texts, **_META}),
    _chunk("steering-message", id=names, parts=st.lists(_chunk("text", text=texts), max_size=2)),
    _chunk("message-metadata", messageMetadata=st.none() | metadata),
    _chunk("abort"),
]
_DATA = _chunk(
    *("data-run", "data-weather"),
    data=values,
    optional={"id": st.sampled_from(["0", "1"]), "transient": st.booleans(), "unknown": texts},
)
_STEPS = ["start-step", "finish-step", "reset-step"]
_REASONS = st.sampled_from(["stop", "length", "error", "interrupted", "other"])
_ENDS = [
    _chunk("finish", optional={"finishReason": _REASONS, "messageMetadata": metadata}),
    _chunk("error", errorText=texts.filter(bool)),
    _chunk("abort", optional={"reason": texts}),
]


class _Writer:
    """Writes a log at random and keeps track of the open parts."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.chunks: list[Chunk] = []
        self.opened: list[tuple[str, str]] = []

    def write(self, chunk: Chunk, odds: int = 8, **optional: st.SearchStrategy[Any]) -> None:
        """Write a chunk; every optional field is in it once in so many times."""
        for key, field in optional.items():
            if self.draw(st.integers(1, odds)) == odds:
                chunk[key] = self.draw(field)
        self.chunks.append(chunk)

    def start(self) -> None:
        message_id = self.draw(st.sampled_from(["m1", "answer-é"]))
        self.write({"type": "start", "messageId": message_id}, odds=2, messageMetadata=metadata)

    def step(self) -> None:
        step = self.draw(st.sampled_from(_STEPS))
        self.write({"type": step})
        if step == "reset-step":
            self.opened.clear()

    def plain(self) -> None:
        self.write(self.draw(st.one_of(_PLAIN)))

    def data(self) -> None:
        self.write(self.draw(_DATA))

    def open(self) -> None:
        part = (self.draw(st.sampled_from(["text", "reasoning"])), self.draw(names))
        chunk = {"type": f"{part[0]}-start", "id": part[1]}
        self.write(chunk, providerMetadata=provider_metadata)
        self.opened = [other for other in self.opened if other != part] + [part]

    def delta(self) -> None:
        if not self.opened:
            self.open()
        kind, part = self.draw(st.sampled_from(self.opened))
        for delta in self.draw(st.lists(texts, min_size=1, max_size=3)):
            chunk = {"type": f"{kind}-delta", "id": part, "delta": delta}
            self.write(chunk, providerMetadata=provider_metadata)

    def end(self) -> None:
        if self.opened:
            part = self.draw(st.sampled_from(self.opened))
            self.opened.remove(part)
            chunk = {"type": f"{part[0]}-end", "id": part[1]}
            self.write(chunk, providerMetadata=provider_metadata)

    def finish(self) -> None:
        self.write(self.draw(st.one_of(_ENDS)))


_ACTIONS = [
    *[_Writer.delta] * 5,
    *[_Writer.open, _Writer.end, _Writer.plain] * 2,
    *[_Writer.step, _Writer.data],
]


@st.composite
def chunk_lists(draw: st.DrawFn) -> list[Chunk]:
    """The chunks of one log, whole or cut anywhere after its start."""
    writer = _Writer(draw)
    writer.start()
    least = draw(st.sampled_from([0, 5, 15]))
    for act in draw(st.lists(st.sampled_from(_ACTIONS), min_size=least, max_size=30)):
        act(writer)
    if draw(st.booleans()):
        writer.finish()
    return writer.chunks


_canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ENCODINGS: list[Callable[[Chunk], str]] = [
    *[_canonical] * 3,
    json.JSONEncoder(separators=(",", ":")).encode,
    json.JSONEncoder(ensure_ascii=False).encode,
    lambda chunk: _canonical(dict(reversed(chunk.items()))),
]


@st.composite
def _encoded(draw: st.DrawFn) -> list[bytes]:
    """A log as records, each chunk in one of the ways to write it as JSON."""
    return [draw(st.sampled_from(_ENCODINGS))(chunk).encode() for chunk in draw(chunk_lists())]


logs = _encoded()
