"""How the beginning of a continuation is judged: received and new text in, a verdict out."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from durable_llm_streams.providers import demo_answer
from durable_llm_streams.runs.continuation import (
    MAX_HELD,
    MIN_SAID,
    Judged,
    Opening,
    may_continue,
    request,
)

SAID = "The log is the only truth. A reader that comes back names its cursor, and gets what"
REST = " comes after it. Nothing is sent twice, and nothing is left out."

VOCABULARY = (
    "the a cat sat on mat and then it ran over hills because nothing could stop JavaScript from "
    "GitHub users who wrote `code` in **bold** Paris 12 3.5 na\u00efve \u4e2d\u6587\u5b57\u7b26 "
    "\u00e9moji \U0001f389 end"
)


def judge(said: str, text: str, *, piece: int = 17) -> tuple[Judged, str]:
    """The verdict, and all of the new text that readers get."""
    opening = Opening(said)
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    for number, part in enumerate(pieces, 1):
        judged = opening.add(part)
        if judged is not None:
            return judged, judged.text + "".join(pieces[number:])
    judged = opening.end()
    return judged, judged.text


JOINS = [
    REST,
    "A reader that comes back names its cursor, and gets what" + REST,
    "names its cursor, and gets what" + REST,
    "\u201cnames its cursor, and gets what\u201d" + REST,
    "\u2026names its cursor, and gets what" + REST,
    "Sure, continuing: " + REST,
    "Sure, continuing:\n\n" + REST,
    "Of course! Here is the rest of the answer:\n\nnames its cursor, and gets what" + REST,
    "Continuing from where I left off:\n" + REST,
]
ANEW = [
    SAID + REST,
    "The log is the only truth. Every reader is equal.",
    "Certainly! Here's the answer again:\n\n" + SAID + REST,
    "I'm sorry, I can't continue that. " + SAID + REST,
]
UNFIT = [
    " gets what" + REST,  # a few words may be a coincidence
    "I'm sorry, but I cannot see your previous message.",
    "It seems like your message was cut off. Could you repeat it?",
    "Sure! What would you like to know?",
    "Something else altogether, which has nothing to do with it.",
    "The log is a list of records. It has no end.",
    "# Logs\n\nA log is a list.",
    "- A log is a list of records.",
    " as I said: names its cursor, and gets what" + REST,
]


@pytest.mark.parametrize("text", JOINS)
def test_an_overlap_and_a_preamble_are_dropped(text: str) -> None:
    judged, rest = judge(SAID, text)
    assert (judged.verdict, SAID + rest) == ("joins", SAID + REST)


@pytest.mark.parametrize("text", ANEW)
def test_a_text_that_begins_like_the_answer_is_the_answer_anew(text: str) -> None:
    judged, rest = judge(SAID, text)
    assert (judged.verdict, text[len(text) - len(rest) :]) == ("anew", rest)
    assert rest.startswith("The log is the only truth. ")


@pytest.mark.parametrize("text", UNFIT)
def test_a_text_that_does_not_continue_the_answer_is_not_joined(text: str) -> None:
    assert judge(SAID, text)[0].verdict == "unfit"


@pytest.mark.parametrize("end", [" ", "\n\n", ". ", ".", ", ", ":\n\n"])
def test_another_answer_is_not_joined_wherever_the_first_was_cut(end: str) -> None:
    other = "A completely different answer begins here, and it is a long one."
    assert judge(SAID + end, other)[0].verdict == "unfit"


def test_white_space_that_was_not_sent_is_not_repeated() -> None:
    for space in (" ", "\n\n", "\n    "):
        said = SAID + space
        assert judge(said, space + "comes after it.", piece=1)[1] == "comes after it."
        assert judge(said, "comes after it.", piece=1)[1] == "comes after it."


def test_a_long_repetition_of_the_end_is_held_until_it_is_over() -> None:
    said = " ".join(f"word{number}" for number in range(200))
    again = said[-900:]
    opening = Opening(said)
    for at in range(0, 900, 30):
        assert opening.add(again[at : at + 30]) is None
        assert opening.time_is_up() is None
    judged = opening.add(" and the rest")
    assert judged == Judged("joins", " and the rest", 913)


def test_without_a_repetition_a_bounded_text_is_held() -> None:
    opening = Opening(SAID)
    new = " ".join(f"new{number}" for number in range(200))
    held = 0
    while opening.add(new[held : held + 10]) is None:
        held += 10
    assert held < MAX_HELD <= held + 10
    assert Opening(SAID).time_is_up() is None  # nothing has come
    opening = Opening(SAID)
    assert opening.add(" follows") is None
    assert opening.time_is_up() == Judged("joins", " follows", 8)


@pytest.mark.parametrize(
    ("pieces", "judged"),
    [
        (
            ["The log", " is the only", " truth. A text with another end follows."],
            Judged("anew", "The log is the only truth. A text with another end follows.", 59),
        ),
        *(
            (
                [mark + "names its", " cursor, and gets", " what comes after it."],
                Judged("joins", " comes after it.", 47 + len(mark)),
            )
            for mark in ("", "\u201c", "\u2026 ")
        ),
    ],
)
def test_a_slow_repetition_is_not_joined_when_the_time_is_up(
    pieces: list[str], judged: Judged
) -> None:
    opening = Opening(SAID)
    assert opening.add(pieces[0]) is None
    assert opening.time_is_up() is None, "joined, although the model only repeats"
    assert [opening.add(piece) for piece in pieces[1:]] == [None, judged]


def test_too_short_texts_and_forbidden_continuations_are_restarted() -> None:
    assert may_continue("x" * MIN_SAID, "on")
    assert not may_continue("x" * (MIN_SAID - 1) + " \n", "on")
    assert not may_continue(SAID, "off")
    assert may_continue(SAID, "prose")
    for whole in (
        '{"answer": [1, 2, 3, 4, 5, 6',
        "[1, 2, 3, 4, 5, 6, 7, 8, 9",
        "Run:\n```python\nx = 1\ny =",
    ):
        assert may_continue(whole, "on")
        assert not may_continue(whole, "prose")


def test_the_request_ends_with_the_answer_and_quotes_its_last_words() -> None:
    answer, ask = request(SAID + "\n")
    assert (answer.role, answer.text, ask.role) == ("assistant", SAID, "user")
    assert "comes back names its cursor, and gets what" in ask.text
    assert "truth" not in ask.text


# --- every cut of many answers ---------------------------------------------------------------


def answers(count: int) -> list[str]:
    """Texts of the kinds that models write: prose, lists, tables, code, numbers."""
    rng = random.Random(5)
    texts = [demo_answer.SHORT, demo_answer.CHALLENGE, demo_answer.JOURNAL, demo_answer.THOUGHT]
    return [_answer(number % 8, rng, texts[number % 4]).strip() for number in range(count)]


def _answer(kind: int, rng: random.Random, text: str) -> str:
    if kind < 3:
        begin = rng.randrange(max(1, len(text) - 200))
        return text[begin : begin + rng.randint(60, 200)]
    if kind == 3:
        return " ".join(f"w{number}" for number in range(1, rng.randint(20, 50)))
    if kind == 4:
        lines = (
            f"- **Item {number}**: {' '.join(rng.choices(VOCABULARY.split(), k=4))}"
            for number in range(6)
        )
        return "\n".join(lines)
    if kind == 5:
        lines = (
            "    " * (number % 3) + f"x{number} = f({rng.randrange(9)})" for number in range(9)
        )
        return "```python\n" + "\n".join(lines) + "\n```\nDone."
    words = [" ".join(rng.choices(VOCABULARY.split(), k=9)).capitalize() for _ in range(4)]
    return "".join(each + rng.choice([". ", ".\n\n", "! ", ", and "]) for each in words)


def _quote(said: str) -> str:
    begun = request(said)[1].text.partition("last words:\n\n")[2]
    return begun.partition("\n\nDo not begin again")[0]


PROVIDERS: dict[str, Callable[[str, str], str]] = {
    "well": lambda whole, begun: whole[len(begun) :],
    "overlap": lambda whole, begun: whole[max(0, len(begun) - 25) :],
    "quoted": lambda whole, begun: _quote(begun) + whole[len(begun) :],
    "last line": lambda whole, begun: whole[begun.rfind("\n") + 1 :],
    "anew": lambda whole, begun: whole,
    "preamble": lambda whole, begun: "Sure, continuing:\n\n" + whole[len(begun) :],
    "something else": lambda whole, begun: "Quite another text, which was never asked for.",
    "sorry": lambda whole, begun: "I'm sorry, I can't continue that. " + whole,
}


@pytest.mark.promise("one-clean-answer")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_at_every_cut_of_200_answers_no_text_is_lost_or_doubled(provider: str) -> None:
    made = restarted = joined = 0
    for whole in answers(200):
        for cut in range(1, len(whole)):
            said = whole[:cut]
            if not may_continue(said, "on"):
                continue
            judged, text = judge(said, PROVIDERS[provider](whole, said.rstrip()), piece=60)
            made += 1
            restarted += judged.verdict == "unfit"
            joined += judged.verdict == "joins"
            if judged.verdict == "joins" and provider != "something else":
                assert said + text == whole
            elif judged.verdict == "anew":
                assert text == whole
                assert provider not in ("well", "preamble")
    assert made > 20_000
    most = {"last line": 0.15, "something else": 1}.get(provider, 0.03)
    least = {"anew": 0, "sorry": 0, "something else": 0, "last line": 0.4}.get(provider, 0.69)
    assert restarted <= most * made
    assert least * made <= joined <= (1 if least else 0.12) * made
