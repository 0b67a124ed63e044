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


def test_a_setting_comes_before_the_defaults() -> None:
    table = PrefillTable.parse(" Qwen*=vllm, !mistralai/mistral-tiny ,deepseek-chat=MISTRAL,own/*")
    assert table.style("qwen/qwen3:8b") == "vllm"
    assert table.style("mistralai/mistral-tiny") is None
    assert table.style("mistralai/mistral-large") == "mistral"
    assert table.style("deepseek-chat") == "mistral"
    assert table.style("own/model") == "plain"


def test_the_first_rule_that_matches_decides() -> None:
    table = PrefillTable.parse("!a/b, a/*=vllm, a/c=mistral")
    assert [table.style(model) for model in ("a/b", "a/c")] == [None, "vllm"]


@pytest.mark.parametrize("setting", ["none", "None,", "x*=vllm, none"])
def test_none_drops_the_defaults(setting: str) -> None:
    assert PrefillTable.parse(setting).style("mistralai/mistral-large") is None


@pytest.mark.parametrize(
    "setting", ["qwen*=vlm", "qwen*=", "=vllm", "!", "!!x", "!x=plain", "two words", "a=b=plain"]
)
def test_a_setting_that_cannot_be_read_says_what_to_write(setting: str) -> None:
    with pytest.raises(InvalidSetting, match="PATTERN=STYLE"):
        PrefillTable.parse(setting)


def join(said: str, pieces: list[str], *, echoes: bool = False) -> str:
    seam = Seam(said, echoes=echoes)
    joined = "".join(seam.join(piece) if seam.open else piece for piece in pieces)
    return said + joined + seam.end()


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize(
    ("said", "pieces", "whole"),
    [
        ("one ", [" two"], "one two"),
        ("one ", ["two"], "one two"),
        ("one \n\n", [" ", "\n", "\n", "\ntwo"], "one \n\n\ntwo"),
        ("one\n\n", ["\n", "two"], "one\n\ntwo"),
        ("one\n\n", [" two"], "one\n\n two"),
        ("one", [" two"], "one two"),
        ("one ", ["", " ", " two"], "one  two"),
        ("one ", [], "one "),
    ],
)
def test_white_space_that_readers_have_is_not_repeated(
    said: str, pieces: list[str], whole: str
) -> None:
    assert join(said, pieces) == whole


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize(
    ("said", "pieces", "whole"),
    [
        ("one two ", ["one", " two", " three"], "one two three"),
        ("one two", ["one two three"], "one two three"),
        ("one two ", [" three"], "one two three"),
        ("one two ", ["one", " thing"], "one two one thing"),
        ("one two ", ["one"], "one two one"),
        ("one", ["one"], "one"),
    ],
)
def test_a_beginning_that_the_provider_repeats_is_dropped(
    said: str, pieces: list[str], whole: str
) -> None:
    assert join(said, pieces, echoes=True) == whole


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
