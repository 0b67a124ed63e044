"""The forms in which providers send answers. No I/O, and no time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

DONE: Final = b"data: [DONE]\n\n"


def event(data: Any, name: str = "") -> bytes:
    """A server-sent event of a JSON document, or of a text as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chunk(delta: dict[str, Any] | None, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a chat completion; without a delta one that has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "gen-chunk", "object": "chat.completion.chunk", "choices": choices, **fields}


def completion(text: str, reason: str, usage: dict[str, Any]) -> dict[str, Any]:
    """A chat completion that is not streamed."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}


def completion_usage(words: int) -> dict[str, Any]:
    """What an answer of so many words has used."""
    return {
        "prompt_tokens": 7,
        "completion_tokens": words,
        "total_tokens": 7 + words,
        "cost": 0.00125,
        "cost_details": {"upstream_inference_cost": None},
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


class Response(NamedTuple):
    """A response of OpenAI's Responses API.

    Attributes:
        end: how it ends: `completed`, `failed` or `incomplete`.
        error: why it failed.
        reason: why it is incomplete.
    """

    id: str
    model: str
    thoughts: tuple[str, ...]
    texts: tuple[str, ...]
    end: str = "completed"
    error: dict[str, Any] | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def document(self, status: str) -> dict[str, Any]:
        """The response as it is in a status."""
        over = status not in ("queued", "in_progress")
        return {
            "id": self.id,
            "object": "response",
            "status": status,
            "background": True,
            "model": self.model,
            "error": self.error if status == "failed" else None,
            "incomplete_details": {"reason": self.reason} if status == "incomplete" else None,
            "output": self._output() if over and status != "cancelled" else [],
            "usage": self._usage() if over else None,
        }

    def events(self) -> Iterator[tuple[bool, dict[str, Any]]]:
        """Its events, and of each whether it is a word of the text or of the thoughts."""
        numbered = enumerate(self._events())
        for number, (is_word, kind, fields) in numbered:
            yield is_word, {"type": f"response.{kind}", "sequence_number": number, **fields}

    def _events(self) -> Iterator[tuple[bool, str, dict[str, Any]]]:
        for kind in ("created", "queued", "in_progress"):
            status = "queued" if kind == "created" else kind
            yield False, kind, {"response": self.document(status)}
        place: dict[str, Any] = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
        for thought in self.thoughts:
            yield True, "reasoning_summary_text.delta", {"delta": thought, **place}
        place = {"item_id": "msg_1", "output_index": 1, "content_index": 0, "logprobs": []}
        for text in self.texts:
            yield True, "output_text.delta", {"delta": text, **place}
        if self.end == "completed":
            yield False, "output_text.done", {"text": self.text, **place}
        yield False, self.end, {"response": self.document(self.end)}

    def _output(self) -> list[dict[str, Any]]:
        summary = [{"type": "summary_text", "text": "".join(self.thoughts)}]
        content = [{"type": "output_text", "text": self.text, "annotations": []}]
        reasoning = [{"type": "reasoning", "id": "rs_1", "summary": summary}]
        message = [{"type": "message", "id": "msg_1", "role": "assistant", "content": content}]
        return [*(reasoning if self.thoughts else []), *(message if self.texts else [])]

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": len(self.texts),
            "output_tokens_details": {"reasoning_tokens": len(self.thoughts)},
            "total_tokens": 7 + len(self.texts),
        }


def is_text(event: dict[str, Any]) -> bool:
    """Whether an event of a response brings words of the text."""
    return bool(event["type"] == "response.output_text.delta")
