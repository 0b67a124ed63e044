"""The sentence of each meaning, as the product has them."""

from __future__ import annotations

from durable_llm_streams.providers.failures.meanings import MEANINGS


def sentence(meaning: str) -> str:
    """What a person reads when a failure has this meaning."""
    return MEANINGS[meaning].sentence
