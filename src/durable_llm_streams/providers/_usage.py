"""What a provider tells of an answer beside its text. Odd values are left out; nothing fails."""

from __future__ import annotations

import math
from typing import Any

_MAX_COUNT = 2**53  # what JavaScript counts exactly
_MAX_NAME = 200  # characters


def answer_metadata(model: Any, usage: Any, generation_id: Any) -> dict[str, Any]:
    """The metadata of a `Finish`, without what is unknown.

    Args:
        model: the model that answered.
        usage: the provider's `usage` object.
        generation_id: the provider's id of the answer.
    """
    counts = {
        "inputTokens": _count(usage, "prompt_tokens"),
        "outputTokens": _count(usage, "completion_tokens"),
        "totalTokens": _count(usage, "total_tokens"),
        "reasoningTokens": _count(usage, "completion_tokens_details", "reasoning_tokens"),
        "cachedInputTokens": _first(
            _count(usage, "prompt_tokens_details", "cached_tokens"),
            _count(usage, "prompt_cache_hit_tokens"),  # DeepSeek
        ),
    }
    known = {
        "model": _name(model),
        "usage": {name: value for name, value in counts.items() if value is not None} or None,
        "cost": _dollars(_inside(usage, "cost")),
        "generationId": _name(generation_id),
    }
    return {name: value for name, value in known.items() if value is not None}


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
    return value if math.isfinite(value) and 0 <= value <= _MAX_COUNT else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_NAME else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
