"""A seam until `_failures` says these things itself."""

from __future__ import annotations

import re
from typing import Any

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import _failures

_FIELDS = re.compile(
    r"stream_options|max_tokens|max_completion_tokens|temperature|reasoning_effort|reasoning|system"
)


def unsupported_field(status: int, text: str) -> str | None:
    theirs: Any = getattr(_failures, "unsupported_field", None)
    if theirs is not None:
        found: str | None = theirs(status, text)
        return found
    if status in (400, 422):
        if "verified to stream" in text:
            return "stream"
        match = _FIELDS.search(text)
        return match[0] if match else None
    return None


def role_rule(status: int, text: str) -> str | None:
    theirs: Any = getattr(_failures, "role_rule", None)
    if theirs is not None:
        found: str | None = theirs(status, text)
        return found
    if status in (400, 422, 500):
        if "must alternate" in text:
            return "alternate"
        if re.search(r"system role not supported", text, re.IGNORECASE):
            return "no-system"
    return None


def refuses_rung(error: ModelError) -> bool:
    return error.refused_rung or error.meaning in ("unsupported", "roles", "prefill", "no-model")
