"""The metadata of an answer: model, usage, cost. Invalid values are left out; nothing fails."""

from __future__ import annotations

from typing import Any

from .characters import clean

_MAX_COUNT = 2**53  # what JavaScript counts exactly
_MAX_NAME = 200  # characters

#: Where a count is: in a chat completion's usage, then in a response's, then in Ollama's object.
_COUNTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "inputTokens": (("prompt_tokens",), ("input_tokens",), ("prompt_eval_count",)),
    "outputTokens": (("completion_tokens",), ("output_tokens",), ("eval_count",)),
    "totalTokens": (("total_tokens",),),
    "reasoningTokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
    "cachedInputTokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),  # DeepSeek
    ),
}


def answer_metadata(model: Any, usage: Any, generation_id: Any) -> dict[str, Any]:
    """The metadata of a `Finish`; unknown values are left out.

    Args:
        model: the model that answered.
        usage: the provider's `usage` object, of a chat completion or of a response.
        generation_id: the provider's id of the answer.
    """
    counts = {
        name: _first(*(_count(usage, *path) for path in paths)) for name, paths in _COUNTS.items()
    }
    known = {
        "model": _name(model),
        "usage": {name: value for name, value in counts.items() if value is not None} or None,
        "cost": _dollars(_inside(usage, "cost")),
        "generationId": _name(generation_id),
    }
    return {name: value for name, value in known.items() if value is not None}


def usage_in(value: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any] | None:
    """The usage that a chat-completion object holds.

    Args:
        value: the object.
        choice: its first choice, where some providers put it.
    """
    places = (value.get("usage"), choice.get("usage"), _inside(value, "x_groq", "usage"))
    usage = next((place for place in places if isinstance(place, dict) and place), None)
    return value if usage is None and "eval_count" in value else usage


def made_tokens(usage: Any) -> bool:
    """Whether a usage counts output tokens, which are paid."""
    return any(_count(usage, *path) for path in _COUNTS["outputTokens"])


def _inside(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _count(usage: Any, *path: str) -> int | None:
    value = _inside(usage, *path)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
    return int(value) if is_count else None


def _dollars(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= _MAX_COUNT else None  # which NaN is not


def _name(value: Any) -> str | None:
    return clean(value) if isinstance(value, str) and 0 < len(value) <= _MAX_NAME else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
