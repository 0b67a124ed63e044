"""The sentence of each meaning, as the product has them."""

from __future__ import annotations

from durable_llm_streams.providers import _failures


def sentence(meaning: str) -> str:
    """What a person reads when a failure has this meaning."""
    found: dict[str, str] = {
        "cut": str(_failures.cut()),
        "no-credit": _failures._CREDIT,
        "bad-key": _failures._KEY,
    }
    return found.get(meaning, f"(no sentence for {meaning})")
