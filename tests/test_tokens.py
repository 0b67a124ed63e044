"""The estimate of tokens, compared with what real tokenizers count."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest

from durable_llm_streams.runs.tokens import estimated

_TABLE = tomllib.loads(Path(__file__).with_name("token_counts.toml").read_text("utf-8"))
COUNTED: dict[str, tuple[int, str]] = {
    row["name"]: (row["tokens"], row["text"]) for row in _TABLE["text"]
}


@pytest.mark.parametrize("name", COUNTED)
def test_no_kind_of_text_is_estimated_too_low_or_over_twice(name: str) -> None:
    counted, text = COUNTED[name]
    assert counted <= estimated(text) <= 2 * counted


def test_odd_texts_have_an_estimate_too() -> None:
    assert estimated("") == 0
    assert estimated(" ") == 1
    assert estimated("\ud800") > 0  # half of a pair, as a client may send it
    assert estimated("\x00" * 10) == 8


def test_longer_texts_never_have_fewer_tokens() -> None:
    rng = random.Random(1)
    texts = [text for _, text in COUNTED.values()]
    for _ in range(200):
        text = rng.choice(texts) + rng.choice(texts)
        cut = rng.randrange(len(text))
        assert estimated(text[:cut]) <= estimated(text)
