"""Which models continue a beginning, and how the continuation is joined to it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.requests.prefill import PrefillTable, Seam, trimmed


@pytest.mark.parametrize(
    ("model", "style"),
    [
        ("anthropic/claude-3-haiku", "plain"),
        ("anthropic/claude-3.5-sonnet", "plain"),
        ("anthropic/claude-3.7-sonnet", "plain"),
        ("anthropic/claude-3.7-sonnet:beta", "plain"),
        ("anthropic/claude-3.7-sonnet:thinking", None),
        ("anthropic/claude-sonnet-4", "plain"),
        ("anthropic/claude-opus-4.1", "plain"),
        ("Anthropic/Claude-Sonnet-4.5", "plain"),
        ("anthropic/claude-haiku-4.5:nitro", "plain"),
        ("anthropic/claude-opus-4.5", "plain"),
        ("anthropic/claude-opus-4.6", None),
        ("anthropic/claude-sonnet-4.6", None),
        ("anthropic/claude-sonnet-5", None),
        ("anthropic/claude-opus-4.10", None),
        ("mistralai/mistral-large", "mistral"),
        ("deepseek/deepseek-chat", None),
        ("openai/gpt-5", None),
        ("", None),
    ],
)
def test_the_defaults_name_the_models_that_are_documented(model: str, style: str | None) -> None:
    assert PrefillTable().style(model) == style
    assert PrefillTable.parse("").style(model) == style


@pytest.mark.parametrize(
    ("setting", "model", "style"),
    [
        (" Qwen*=vllm, x ", "qwen/qwen3:8b", "vllm"),
        ("!mistralai/mistral-tiny", "mistralai/mistral-tiny", None),
        ("!mistralai/mistral-tiny", "mistralai/mistral-large", "mistral"),
        ("deepseek-chat=MISTRAL", "deepseek-chat", "mistral"),
        ("own/*", "own/model", "plain"),
        ("!a/b, a/*=vllm, a/c=mistral", "a/b", None),
        ("!a/b, a/*=vllm, a/c=mistral", "a/c", "vllm"),
        ("none", "mistralai/mistral-large", None),
        ("None,", "mistralai/mistral-large", None),
        ("x*=vllm, none", "mistralai/mistral-large", None),
    ],
)
def test_the_first_rule_that_matches_decides_and_settings_come_first(
    setting: str, model: str, style: str | None
) -> None:
    assert PrefillTable.parse(setting).style(model) == style


@pytest.mark.parametrize(
    "setting", ["qwen*=vlm", "qwen*=", "=vllm", "!", "!!x", "!x=plain", "two words", "a=b=plain"]
)
def test_an_invalid_setting_is_refused_with_the_right_form(setting: str) -> None:
    with pytest.raises(InvalidSetting, match="PATTERN=STYLE"):
        PrefillTable.parse(setting)


def join(said: str, pieces: list[str], *, echoes: bool = False) -> str:
    seam = Seam(said, echoes=echoes)
    joined = "".join(seam.join(piece) if seam.open else piece for piece in pieces)
    return said + joined + seam.end()


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize(
    ("echoes", "said", "pieces", "whole"),
    [
        (False, "one ", ["two"], "one two"),
        (False, "one \n\n", [" ", "\n", "\n", "\ntwo"], "one \n\n\ntwo"),
        (False, "one\n\n", [" two"], "one\n\n two"),
        (False, "one", [" two"], "one two"),
        (False, "one ", ["", " ", " two"], "one  two"),
        (False, "one ", [], "one "),
        (True, "one two", ["one two three"], "one two three"),
        (True, "one two ", [" three"], "one two three"),
        (True, "one two ", ["one", " thing"], "one two one thing"),
        (True, "one two ", ["one"], "one two one"),
        (True, "one", ["one"], "one"),
    ],
)
def test_white_space_and_repeated_text_are_dropped(
    echoes: bool, said: str, pieces: list[str], whole: str
) -> None:
    assert join(said, pieces, echoes=echoes) == whole


@pytest.mark.promise("one-clean-answer")
@given(
    st.text("ab \n", max_size=12), st.integers(0, 12), st.lists(st.integers(0, 24)), st.booleans()
)
def test_an_exact_continuation_gives_the_whole_answer_wherever_it_is_cut(
    answer: str, at: int, cuts: list[int], echoes: bool
) -> None:
    said = answer[:at]
    rest = answer if echoes else answer[len(trimmed(said)) :]
    places = [0, *sorted(min(cut, len(rest)) for cut in cuts), len(rest)]
    pieces = [rest[begin:end] for begin, end in pairwise(places)]
    assert join(said, pieces, echoes=echoes) == answer
