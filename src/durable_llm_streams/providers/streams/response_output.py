"""The items of a response's `output`, as events.

Source: `openai.types.responses` of `openai` 3: `ResponseOutputMessage`, `ResponseReasoningItem`,
`ImageGenerationCall`. Invalid values are left out; nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from durable_llm_streams.source import Event, ReasoningDelta, TextDelta

from .other_parts import OtherParts


def events_of(output: Any) -> list[Event]:
    """The content of a complete response, in order.

    Args:
        output: the list of its items.
    """
    return [event for item in _objects(output) for event in item_events(item)]


def item_events(item: Any) -> list[Event]:
    """The content of one item: complete texts, each followed by its citations."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "message":
        return [event for part in _objects(item.get("content")) for event in _part_events(part)]
    if kind == "reasoning":
        return _reasoning(item)
    events: list[Event] = []
    if kind == "image_generation_call":
        OtherParts().files(item, events)
    return events


def part_text(part: Any) -> str:
    """The text of a message's part, or of a refusal; "" for anything else."""
    if not isinstance(part, dict):
        return ""
    text = part.get("refusal" if part.get("type") == "refusal" else "text")
    return text if isinstance(text, str) else ""


def citations(annotations: Any) -> list[Event]:
    """The web pages that a list of annotations refers to."""
    events: list[Event] = []
    OtherParts().citations(annotations, events)
    return events


def _part_events(part: dict[str, Any]) -> list[Event]:
    text = part_text(part)
    return [*([TextDelta(text)] if text else []), *citations(part.get("annotations"))]


def _reasoning(item: dict[str, Any]) -> list[Event]:
    summaries = list(filter(None, map(part_text, _objects(item.get("summary")))))
    texts = ["\n\n".join(summaries), *map(part_text, _objects(item.get("content")))]
    return [ReasoningDelta(text) for text in texts if text]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
