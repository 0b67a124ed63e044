"""Thoughts that a model writes into its text between tags."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.providers.streams.think_tags import TAGS
from durable_llm_streams.source import LateThought, ReasoningDelta, TextDelta
from tests.chat_streams import DONE, delta, finish, joined, outcome, pieces_of, text

HM, ANSWER = ReasoningDelta("hm"), TextDelta("The answer.")


def answer(*contents: str, **options: Any) -> list[Any]:
    """What an answer of these contents says, without its finish."""
    return joined(*map(text, contents), finish(), DONE, **options)[:-1]


@pytest.mark.parametrize(("opening", "closing"), [*TAGS.items(), ("<THINK>", "</Think>")])
def test_every_tag_makes_reasoning_wherever_it_is_cut(opening: str, closing: str) -> None:
    content = f"\n{opening}\nhm{closing}\n\nThe answer."
    for at in range(len(content)):
        assert answer(content[:at], content[at:]) == [HM, ANSWER], f"cut at {at}"


def test_thoughts_come_as_they_are_made() -> None:
    parser = ChatParser()
    parser.feed(text("<think>"))
    assert parser.feed(text("I see a < b, ")) == [ReasoningDelta("I see a < b, ")]
    assert parser.feed(text("so </thi")) == [ReasoningDelta("so ")]
    assert parser.feed(text("nk>\n")) != [TextDelta("\n")]
    assert parser.feed(text("\nYes")) == [TextDelta("Yes")]


def test_an_answer_may_think_again() -> None:
    assert answer("<think>a</think><think>b</think>\nOne\n", "<think>c</think>two") == [
        ReasoningDelta("ab"),
        TextDelta("One\n"),
        ReasoningDelta("c"),
        TextDelta("two"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "The <think> tag is closed by </think>.",
        'Close it with "</think>".',
        "Close it with </think> at the end.",
        "Code:\n~~~\n<think>hm</think>\n~~~\nDone.",
        "Code:\n````\n```\n<think>hm</think>\n````\nDone.",
        "Code:\n\n    <think>hm</think>\n",
        "Code:\n```\n</think>\n```\n",
        "`a\n</think>`",
        "a < b, <b>c</b> <thin> </thinker>",
        "<thin",
        "Ends with <",
        "A [THINK] in the middle [/THINK] of it",
        "  \n<",
    ],
)
@given(cuts=st.lists(st.integers(0, 1000), max_size=4))
@settings(max_examples=20)
def test_in_code_and_in_sentences_tags_are_text(content: str, cuts: list[int]) -> None:
    contents = [piece.decode() for piece in pieces_of(content.encode(), cuts)]
    for late in (False, True):
        assert answer(*contents, late_thoughts=late) == [TextDelta(content)]


@pytest.mark.parametrize(
    "contents",
    [
        ("h", "m</thi", "nk>", "\n", "\nThe answer."),
        ("hm</think>The answer.",),
        ("hm</thinking>\nThe answer.",),
    ],
)
def test_a_closing_tag_alone_turns_the_text_before_it_into_a_thought(
    contents: tuple[str, ...],
) -> None:
    said, late, rest = answer(*contents, late_thoughts=True)
    assert (said, late, rest) == (TextDelta("hm"), LateThought(), ANSWER)


def test_late_thoughts_come_once_and_not_behind_reasoning() -> None:
    twice = answer("a</think>\nb\n</think>\nc", late_thoughts=True)
    assert twice == [TextDelta("a"), LateThought(), TextDelta("b\n</think>\nc")]
    events = joined(delta(reasoning="hm"), text("a\n</think>\nb"), finish(), late_thoughts=True)
    assert events == [HM, TextDelta("a\n</think>\nb"), "stop"]


def test_a_reader_without_late_thoughts_gets_text_without_the_tag() -> None:
    assert answer("hm\n", "</think>\n\nThe answer.") == [TextDelta("hm\n\n\nThe answer.")]


def test_a_text_that_begins_inside_a_thought_is_one_until_its_tag() -> None:
    for contents in (("h", "m</th", "ink>\n\nThe answer."), ("<think>hm</think>The answer.",)):
        assert answer(*contents, begins_thinking=True) == [HM, ANSWER]


def test_a_presumed_thought_that_never_ends_was_the_answer() -> None:
    assert answer("The ", "answer.", begins_thinking=True) == [
        ReasoningDelta("The answer."),
        ANSWER,
    ]
    events = joined(text("The answer."), finish("length"), begins_thinking=True)
    assert events == [ReasoningDelta("The answer."), "length"]


_MARKS = ("<", "</", "think>", "`", "```", "\n", " ", "a", "b c", "\ud83d")


@pytest.mark.promise("foreign-bytes")
@given(
    st.lists(st.sampled_from([*TAGS, *TAGS.values(), *_MARKS]), max_size=14),
    st.booleans(),
    st.booleans(),
)
@example(["<think>", "</think>"], True, True)
def test_no_text_is_lost_or_made_up(contents: list[str], late: bool, begins: bool) -> None:
    options = {"late_thoughts": late, "begins_thinking": begins}
    *events, _ = outcome(*map(text, contents), finish("length"), **options)
    sent, got = "".join(contents), "".join(getattr(event, "text", "") for event in events)
    for tag in (*TAGS, *TAGS.values()):
        sent, got = sent.replace(tag, ""), got.replace(tag, "")
    assert [mark for mark in got if mark in "abc`"] == [mark for mark in sent if mark in "abc`"]
