"""What the items of a response's `output` say, as events.

Source: `openai.types.responses` of `openai` 3: `ResponseOutputMessage`, `ResponseReasoningItem`,
`ImageGenerationCall`. Odd values are left out; nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from durable_llm_streams.runs.source import Citation, Event, ReasoningDelta, TextDelta


def events_of(output: Any) -> list[Event]:
    """What a whole response says, in order.

    Args:
        output: the list of its items.
    """
    return [event for item in _objects(output) for event in item_events(item)]


def item_events(item: Any) -> list[Event]:
    """What one item says: each text in one piece, citations after the text that they belong to."""
    if not isinstance(item, dict):
        return []
    kind = item.get("type")
    if kind == "message":
        return [event for part in _objects(item.get("content")) for event in _part_events(part)]
    if kind == "reasoning":
        return _reasoning(item)
    return []


def part_text(part: Any) -> str:
    """The text of a message's part, or of a refusal; "" for anything else."""
    if not isinstance(part, dict):
        return ""
    name = "refusal" if part.get("type") == "refusal" else "text"
    text = part.get(name)
    return text if isinstance(text, str) else ""


def citation(annotation: Any) -> Citation | None:
    """The web page that an annotation refers to; None for any other annotation."""
    if not isinstance(annotation, dict) or annotation.get("type") != "url_citation":
        return None
    nested = annotation.get("url_citation")  # as in chat completions
    about = nested if isinstance(nested, dict) else annotation
    url, title = about.get("url"), about.get("title")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    return Citation(url=url, title=title if isinstance(title, str) else "")


def _part_events(part: dict[str, Any]) -> list[Event]:
    text = part_text(part)
    found = [citation(annotation) for annotation in _objects(part.get("annotations"))]
    return [*([TextDelta(text)] if text else []), *(each for each in found if each is not None)]


def _reasoning(item: dict[str, Any]) -> list[Event]:
    summaries = list(filter(None, map(part_text, _objects(item.get("summary")))))
    texts = ["\n\n".join(summaries), *map(part_text, _objects(item.get("content")))]
    return [ReasoningDelta(text) for text in texts if text]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
