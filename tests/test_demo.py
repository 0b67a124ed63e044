"""The demo: the same answer for the same question, to the letter, at the pace that was set."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers import demo_answer
from durable_llm_streams.providers.demo import DEMO_MODEL, Demo, GoesOn, answer, tokens
from durable_llm_streams.source import Event, Finish, Prompt, ReasoningDelta, TextDelta, Turn

from .run_world import World
from .virtual_time import virtual


def prompt(*questions: str, said: str = "") -> Prompt:
    turns = [Turn("system", "Be kind.")]
    for question in questions:
        turns += [Turn("user", question), Turn("assistant", "…")]
    return Prompt(model=DEMO_MODEL, turns=turns[:-1], prefill=said)


async def told(asked: Prompt) -> list[Event]:
    return [event async for event in Demo(0).stream(asked)]


async def text(asked: Prompt) -> str:
    return "".join(event.text for event in await told(asked) if isinstance(event, TextDelta))


class Time:
    """A clock that moves when a task sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now += seconds


async def test_the_answer_first_explains_itself_and_how_to_get_a_real_one() -> None:
    beginning = (await text(prompt("Hi")))[:400]
    for word in ("demo", "OPENROUTER_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        assert word in beginning


_MARKDOWN = (
    *(r"^## ", r"^1\. ", r"^   - ", r"^\| --", r"^```\w", r"^\$\$$", r"[^$]\$[^$\n]+\$"),
    *(r"^> ", r"\*\w+", r"\*\*\w+", r"\]\(https://", r"`\w+"),
)


@pytest.mark.parametrize("question", ["Hi", "Why is the sky blue?", "Tell me a joke", ""])
async def test_an_answer_shows_every_kind_of_markdown(question: str) -> None:
    said = await text(prompt(question))
    assert [kind for kind in _MARKDOWN if not re.search(kind, said, re.MULTILINE)] == []
    assert 330 <= len(tokens(said)) <= 520


async def test_a_question_can_ask_for_a_short_a_long_and_a_thoughtful_answer() -> None:
    short = await text(prompt("Be brief."))
    usual = await text(prompt("Why?"))
    long = await text(prompt("A long story, please"))
    assert len(short) < len(usual) / 2
    assert 4 < len(tokens(long)) / len(tokens(usual)) < 6
    events = await told(prompt("Think about it"))
    kinds = [type(event) for event in events]
    thoughts = kinds.count(ReasoningDelta)
    assert thoughts > 20
    texts = len(kinds) - thoughts - 1
    assert kinds == [ReasoningDelta] * thoughts + [TextDelta] * texts + [Finish]
    assert not any(isinstance(event, ReasoningDelta) for event in await told(prompt("Why?")))


async def test_the_turns_of_a_chat_and_the_beginnings_of_chats_differ() -> None:
    def topic(said: str) -> str:
        return str(re.findall(r"^## (.*)$", said, re.MULTILINE)[-1])

    first, second = await text(prompt("Hi")), await text(prompt("Hi", "Hi"))
    assert "question 1" in first
    assert "question 2" in second
    assert topic(first) != topic(second)
    assert len({topic(await text(prompt(f"Question {n}"))) for n in range(20)}) == 3
    assert await text(prompt("Hi", "Hi")) == second


@given(st.text())
def test_any_question_is_quoted_as_one_harmless_line(question: str) -> None:
    said = answer(prompt(question))
    quote = re.search(r"^> “(.*)”$\n\n## ", said, re.MULTILINE)
    if len(tokens(said)) > 200:  # not a short one
        assert quote is not None
        assert len(quote[1]) <= 2 * 160
        assert quote[1].isprintable() or not question.isprintable()


@pytest.mark.promise("harmless-text")
def test_markup_in_a_question_is_shown_not_obeyed() -> None:
    said = answer(prompt("<img src=x>\n# *hi* $x$ [a](javascript:b) `c` \x1b[2J\u202e | www.a.b"))
    assert (
        r"> “\<img src=x\> \# \*hi\* \$x\$ \[a\]\(javascript\:b\) \`c\` \[2J \| www\.a.b”" in said
    )
    assert "…”" in answer(prompt("word " * 100))


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize("question", ["Hi", "short", "long, and think"])
async def test_an_answer_cut_anywhere_continues_exactly(question: str) -> None:
    whole = await text(prompt(question))
    for cut in [1, *range(7, len(whole), 97), len(whole)]:
        events = await told(prompt(question, said=whole[:cut]))
        rest = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert whole[:cut] + rest == whole
        assert not any(isinstance(event, ReasoningDelta) for event in events)
        assert events[-1] == (await told(prompt(question)))[-1]


async def test_after_a_foreign_prefix_the_whole_answer_follows_behind_a_rule() -> None:
    whole = await text(prompt("Hi"))
    assert await text(prompt("Hi", said="Once upon a time")) == "\n\n---\n\n" + whole
    assert await text(prompt("Hi", said="```py\nx = 1")) == "\n```\n\n---\n\n" + whole


async def test_the_finish_names_the_demo_and_counts_its_tokens() -> None:
    events = await told(prompt("Please think."))
    deltas = len(events) - 1
    usage = {
        "inputTokens": 4,
        "outputTokens": deltas,
        "totalTokens": deltas + 4,
        "reasoningTokens": sum(isinstance(event, ReasoningDelta) for event in events),
    }
    assert events[-1] == Finish(reason="stop", metadata={"model": "demo", "usage": usage})


async def test_tokens_come_at_the_pace_that_was_set_and_late_ones_catch_up() -> None:
    time = Time()
    seen = []
    async for event in Demo(40, clock=lambda: time.now, sleep=time.sleep).stream(prompt("Hi")):
        seen.append(time.now - 100)
        if len(seen) == 10:
            time.now += 1.0  # the reader is slow
        if isinstance(event, Finish):
            break
    expected = [n / 40 for n in range(10)] + [9 / 40 + 1] * 40
    assert seen[:50] == pytest.approx(expected)
    assert seen[60] == pytest.approx(60 / 40)


@pytest.mark.parametrize("pace", [0.0, float("inf")])
async def test_without_a_pace_it_is_fast_but_lets_others_run(pace: float) -> None:
    time = Time()
    demo = Demo(pace, clock=lambda: time.now, sleep=time.sleep)
    count = len([event async for event in demo.stream(prompt("Hi"))])
    assert time.now == 100
    assert count // 16 - 1 <= time.sleeps <= count // 16


@pytest.mark.parametrize("pace", [-1.0, float("nan")])
def test_an_impossible_pace_is_refused(pace: float) -> None:
    with pytest.raises(InvalidSetting):
        Demo(pace)


@pytest.mark.parametrize(
    ("goes_on", "rungs"),
    [
        ("exactly", ["first", "prefill"]),
        ("asked", ["first", "prefill", "continue"]),
        ("badly", ["first", "prefill", "continue"]),
        ("anew", ["first", "prefill", "restart"]),
        ("never", ["first", "prefill", "continue", "restart"]),
    ],
)
@virtual
async def test_after_a_kill_the_demo_continues_as_configured(
    tmp_path: Path, goes_on: GoesOn, rungs: list[str]
) -> None:
    async with World(tmp_path) as world:
        dying = await world.worker(Demo(40, goes_on=goes_on))
        run = await world.ask(dying, text="A long one, please")
        await asyncio.sleep(3)
        begun = await world.text(run)
        await dying.close()
        await world.worker(Demo(40, goes_on=goes_on))
        ended = await world.ended(run)
    whole = answer(Prompt(model=DEMO_MODEL, turns=[Turn("user", "A long one, please")]))
    assert (whole.startswith(begun), ended.text == whole) == (True, True)
    assert [entry["rung"] for entry in ended.metadata["ladder"]] == rungs
    assert ended.kinds.count("reset-step") == ("restart" in rungs)


@pytest.mark.parametrize("section", [*demo_answer.TOPICS, demo_answer.TOY])
def test_the_listings_in_the_demo_run(section: str) -> None:
    for listing in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(compile(listing, "demo", "exec"), {"__name__": "demo"})
