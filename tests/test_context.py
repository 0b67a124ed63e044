"""What a model is sent of a conversation."""

from __future__ import annotations

import json

import pytest

from durable_llm_streams.errors import InvalidSetting, MessageTooLong
from durable_llm_streams.model import Message
from durable_llm_streams.runs.model_context import (
    check_question,
    check_system,
    choose,
    repeat,
    sent_tokens,
)
from durable_llm_streams.runs.tokens import MESSAGE_TOKENS
from durable_llm_streams.source import Turn

#: A text of 10 tokens; as a turn it has 14.
TEN = "A" * 10
TURN = 10 + MESSAGE_TOKENS


def thread(*messages: str) -> list[Message]:
    """A branch. The first letter of each message is its role; the rest is its text."""
    made: list[Message] = []
    for number, message in enumerate(messages):
        parts = [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": message[1:]}]
        made.append(
            Message(
                id=f"m{number}",
                parent=f"m{number - 1}" if number else None,
                role={"u": "user", "a": "assistant"}[message[0]],
                body=json.dumps({"parts": parts}).encode() if message[1:] else b"",
                created_at=number,
            )
        )
    return made


def sent(turns: object) -> str:
    assert isinstance(turns, list)
    return " ".join(f"{turn.role[0]}{turn.text[-1]}" for turn in turns)


EXCHANGES = [f"{role}{TEN[:9]}{number}" for number in "1234" for role in "ua"][:7]
ALL = "u1 a1 u2 a2 u3 a3 u4"


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0, ALL),
        (7 * TURN, ALL),
        (7 * TURN - 1, "u2 a2 u3 a3 u4"),
        (6 * TURN, "u2 a2 u3 a3 u4"),
        (5 * TURN, "u2 a2 u3 a3 u4"),
        (5 * TURN - 1, "u3 a3 u4"),
        (2 * TURN, "u4"),  # not the answer alone
        (1, "u4"),  # the question, whatever its length
    ],
)
def test_the_newest_whole_exchanges_that_fit_are_sent(budget: int, expected: str) -> None:
    branch = thread(*EXCHANGES)
    context = choose("", branch, budget)
    count = len(expected.split())
    assert sent(context.turns) == expected
    assert context.metadata() == {"turns": count, "dropped": 7 - count, "tokens": count * TURN}
    assert repeat("", branch, {"context": context.metadata()}) == context


def test_the_system_prompt_is_always_sent_and_counted() -> None:
    branch = thread(*EXCHANGES)
    context = choose(TEN, branch, 4 * TURN)
    assert context.turns[0] == Turn("system", TEN)
    assert sent(context.turns[1:]) == "u3 a3 u4"
    assert context.metadata() == {"turns": 3, "dropped": 4, "tokens": 4 * TURN}
    assert sent(choose(TEN, branch, 4 * TURN - 1).turns[1:]) == "u4"


def test_a_short_exchange_before_one_that_does_not_fit_is_left_out() -> None:
    branch = thread("uA1", "aA1", f"u{TEN}2", f"a{TEN * 9}2", "uA3")
    assert sent(choose("", branch, 5 * TURN).turns) == "u3"


def test_questions_without_an_answer_are_whole_turns() -> None:
    branch = thread("uA1", "a", "uA2", "a", "uA3")
    assert sent(choose("", branch, 0).turns) == "u1 u2 u3"
    some = choose("", branch, 2 * (MESSAGE_TOKENS + 2))
    assert (sent(some.turns), some.dropped) == ("u2 u3", 2)


def test_two_answers_stay_with_their_question() -> None:
    branch = thread("uA1", "aA1", "uA2", "aA2", "aA3", "uA4")
    assert sent(choose("", branch, 3 * (MESSAGE_TOKENS + 2)).turns) == "u4"


def test_what_an_older_version_began_is_sent_whole() -> None:
    for metadata in (None, {"run": "r1"}):
        assert sent(repeat("", thread(*EXCHANGES), metadata).turns) == ALL


def test_a_question_that_does_not_fit_alone_is_refused_with_the_limit() -> None:
    check_question(TEN, system="", budget=TURN)
    check_question(TEN * 1000, system=TEN, budget=0)
    check_question(TEN, system=TEN, budget=2 * TURN)
    with pytest.raises(MessageTooLong, match=r"about 11 tokens, and at most 10 are accepted\."):
        check_question(TEN + "A", system="", budget=TURN)
    with pytest.raises(MessageTooLong, match="at most 9 are"):
        check_question(TEN, system=TEN, budget=2 * TURN - 1)


def test_a_system_prompt_must_leave_room_for_questions() -> None:
    check_system(TEN, 0)
    check_system(TEN, 20)
    with pytest.raises(InvalidSetting, match="DLS_CONTEXT_TOKENS"):
        check_system(TEN, 19)


@pytest.mark.parametrize(
    ("system", "budget", "expected"),
    [("", 0, 3 * TURN), (TEN, 0, 4 * TURN), (TEN, 2 * TURN + 1, 2 * TURN + 1)],
)
def test_a_branch_is_counted_with_its_system_prompt_up_to_the_budget(
    system: str, budget: int, expected: int
) -> None:
    branch = [message.body for message in thread(f"u{TEN}", f"a{TEN}", "a", f"u{TEN}")]
    assert sent_tokens(system, branch, budget) == expected
