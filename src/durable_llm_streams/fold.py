"""The fold: from the records of a log to the message.

It equals the AI SDK's own fold (`processUIMessageStream` of `ai` 7): the tests run both over the
same logs and compare. Rules that are easy to get wrong:

1. `reset-step` removes the parts since the last `step-start`; that one stays.
2. A part is closed only by its own end chunk, not by `finish-step`.
3. Metadata merges deeply; arrays are replaced; a null at the top is skipped.
4. A transient `data-*` chunk leaves no trace; one with the id of an earlier part replaces its data.
5. `error` and `abort` change no part. Nothing after an `error` counts.
6. A delta or an end of a part that is not open fails the whole stream, like an `error`.
7. A `data-*` part is its chunk with every field; other parts keep the fields that they know.
8. A field that would be `undefined` in JavaScript is absent.

The chunks of tools are not folded.

The notices of this package (transient `data-run` chunks) are folded, too, into what the next worker
needs: the number of failures, how the model was asked, and the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .chunks import decode, encode, merge, part_end

Part = dict[str, Any]


class Fold:
    """The message and the state of the run, as far as the log has been read.

    Attributes:
        message_id: from `start`; "" before it.
        metadata: the merged metadata, or None.
        parts: the message's parts, in order.
        retries: the number of failed attempts.
        ladder: one entry for each request to the model: `rung`, and if known `repeated`, `asked`,
            `held`, `dropped` (see `chunks.notice`), `usage` and `cost`.
        job: the (id, mark) of the provider's job with this text; None without a job.
        failed: the text of an `error` record, or why a client could not read on; None if neither.
    """

    def __init__(self) -> None:
        self.message_id = ""
        self.metadata: dict[str, Any] | None = None
        self.parts: list[Part] = []
        self.retries = 0
        self.ladder: list[dict[str, Any]] = [{"rung": "first"}]
        self.job: tuple[str, str] | None = None
        self.failed: str | None = None
        self._open: dict[tuple[str, str], Part] = {}
        # of the job's beginning and mark: the number of parts, and the last one's length
        self._begin = self._mark = (0, 0)

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Fold:
        """Fold a log, or the beginning of one."""
        fold = cls()
        fold.feed(records)
        return fold

    def feed(self, records: Iterable[bytes]) -> None:
        """Fold further records."""
        for _, record in merge(records if isinstance(records, Sequence) else list(records)):
            self.apply(decode(record))

    def apply(self, chunk: Mapping[str, Any]) -> None:
        """Fold one chunk. Unknown types change nothing."""
        if self.failed is not None:
            return
        kind: str = chunk["type"]
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, chunk)
        elif kind.startswith("data-"):
            self._data(chunk)

    @property
    def open_parts(self) -> list[tuple[str, str]]:
        """The (kind, part id) of every text or reasoning part without an end yet, oldest first."""
        return list(self._open)

    @property
    def step_parts(self) -> list[Part]:
        """The parts of the last step, which `reset-step` would remove."""
        return self.parts[self._step_begin() :]

    @property
    def since_mark(self) -> list[tuple[str, str]]:
        """The job's output in the log since its mark: (kind, text), no kind twice in a row."""
        return self._between(self._mark, (len(self.parts), None))

    @property
    def before_mark(self) -> list[tuple[str, str]]:
        """The job's output in the log from its beginning to its mark, in the same form."""
        return self._between(self._begin, self._mark)

    def closing(self) -> list[bytes]:
        """The chunks that end the open parts, so that a client's message is valid."""
        return [part_end(kind, part) for kind, part in self.open_parts]

    def message(self) -> dict[str, Any]:
        """The `UIMessage`."""
        message: dict[str, Any] = {"id": self.message_id, "role": "assistant", "parts": self.parts}
        if self.metadata is not None:
            message["metadata"] = self.metadata
        return message

    def body(self) -> bytes:
        """The `UIMessage` as JSON."""
        return encode(self.message())

    def _between(
        self, begin: tuple[int, int], end: tuple[int, int | None]
    ) -> list[tuple[str, str]]:
        count, length = begin
        first = max(0, count - 1)
        texts: list[tuple[str, str]] = []
        for index, part in enumerate(self.parts[first : end[0]], first):
            cut = end[1] if index == end[0] - 1 else None
            kind, text = part["type"], _text(part)[length if index == count - 1 else 0 : cut]
            if text and texts and texts[-1][0] == kind:
                texts[-1] = (kind, texts[-1][1] + text)
            elif text:
                texts.append((kind, text))
        return texts

    def _step_begin(self) -> int:
        for index in range(len(self.parts) - 1, -1, -1):
            if self.parts[index]["type"] == "step-start":
                return index + 1
        return 0

    def _start(self, chunk: Mapping[str, Any]) -> None:
        self.message_id = chunk.get("messageId") or self.message_id
        self._merge_metadata(chunk)

    def _merge_metadata(self, chunk: Mapping[str, Any]) -> None:
        values = chunk.get("messageMetadata")
        if isinstance(self.metadata, Mapping) and isinstance(values, Mapping):
            self.metadata = _deep_merge(self.metadata, values)
        elif values is not None:
            self.metadata = values

    def _part_start(self, chunk: Mapping[str, Any]) -> None:
        kind = chunk["type"].removesuffix("-start")
        part: Part = {"type": kind, "text": "", "state": "streaming"}
        if kind == "reasoning":
            part["id"] = chunk["id"]
        self._open[kind, chunk["id"]] = part
        _copy(chunk, part, "providerMetadata")
        self.parts.append(part)

    def _part_delta(self, chunk: Mapping[str, Any]) -> None:
        part = self._open.get((chunk["type"].removesuffix("-delta"), chunk["id"]))
        if part is None:
            self._break(chunk)
            return
        part["text"] += chunk["delta"]
        _copy(chunk, part, "providerMetadata")

    def _part_end(self, chunk: Mapping[str, Any]) -> None:
        part = self._open.pop((chunk["type"].removesuffix("-end"), chunk["id"]), None)
        if part is None:
            self._break(chunk)
            return
        part["state"] = "done"
        _copy(chunk, part, "citations", "providerMetadata")

    def _whole_part(self, chunk: Mapping[str, Any]) -> None:
        part: Part = {"type": chunk["type"]}
        _copy(chunk, part, *_FIELDS[chunk["type"]])
        self.parts.append(part)

    def _start_step(self, _: Mapping[str, Any]) -> None:
        self.parts.append({"type": "step-start"})

    def _reset_step(self, _: Mapping[str, Any]) -> None:
        del self.parts[self._step_begin() :]
        self._open.clear()
        self.job = None

    def _error(self, chunk: Mapping[str, Any]) -> None:
        self.failed = chunk["errorText"]

    def _break(self, chunk: Mapping[str, Any]) -> None:
        self.failed = f"{chunk['type']} for the part {chunk['id']!r}, which is not open"

    def _data(self, chunk: Mapping[str, Any]) -> None:
        if chunk.get("transient"):
            if chunk["type"] == "data-run" and isinstance(chunk["data"], Mapping):
                self._notice(chunk["data"])
            return
        for part in self.parts if chunk.get("id") is not None else ():
            if part["type"] == chunk["type"] and part.get("id") == chunk["id"]:
                part["data"] = chunk["data"]
                return
        self.parts.append(dict(chunk))

    def _notice(self, notice: Mapping[str, Any]) -> None:
        event, job = notice.get("event"), notice.get("job")
        rung = notice.get("rung") if event != "judged" else None
        self.retries += event == "retry"
        _copy(notice, self.ladder[-1], "usage", "cost")  # of the previous attempt
        if isinstance(rung, str):
            self.ladder.append({"rung": rung})
            _copy(notice, self.ladder[-1], "repeated")
            if rung != "reattach":
                self.job = None
        if event == "judged":  # the result of the last request, not a new request
            self.ladder[-1].update(
                {key: notice[key] for key in _JUDGED if notice.get(key) is not None}
            )
        if event == "job" and isinstance(job, str):
            self._mark = (len(self.parts), len(_text(self.parts[-1])) if self.parts else 0)
            if self.job is None or self.job[0] != job:
                self._begin = self._mark
            self.job = (job, str(notice.get("mark", "")))


def _text(part: Part) -> str:
    text: str = part["text"] if part["type"] in ("text", "reasoning") else ""
    return text


def _copy(source: Mapping[str, Any], target: Part, *keys: str) -> None:
    for key in keys:
        if source.get(key) is not None:
            target[key] = source[key]


def _deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        if key in _NEVER_MERGED:
            continue
        before = result.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            result[key] = _deep_merge(before, value)
        else:
            result[key] = value
    return result


#: The fields of a notice `judged`.
_JUDGED = ("rung", "asked", "repeated", "held", "dropped")

#: Names with a meaning in JavaScript, which the SDK's merge ignores.
_NEVER_MERGED = frozenset({"__proto__", "constructor", "prototype"})

#: The fields that complete parts copy from their chunks.
_FIELDS: dict[str, tuple[str, ...]] = {
    "file": ("mediaType", "url", "providerMetadata"),
    "reasoning-file": ("mediaType", "url", "providerMetadata"),
    "source-url": ("sourceId", "url", "title", "providerMetadata"),
    "source-document": ("sourceId", "mediaType", "title", "filename", "providerMetadata"),
    "custom": ("kind", "providerMetadata"),
    "steering-message": ("id", "parts"),
}

_HANDLERS: dict[str, Callable[[Fold, Mapping[str, Any]], None]] = {
    "start": Fold._start,
    "message-metadata": Fold._merge_metadata,
    "finish": Fold._merge_metadata,
    "start-step": Fold._start_step,
    "reset-step": Fold._reset_step,
    "text-start": Fold._part_start,
    "text-delta": Fold._part_delta,
    "text-end": Fold._part_end,
    "reasoning-start": Fold._part_start,
    "reasoning-delta": Fold._part_delta,
    "reasoning-end": Fold._part_end,
    "error": Fold._error,
    **dict.fromkeys(_FIELDS, Fold._whole_part),
}
