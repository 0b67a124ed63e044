"""What is asked of the provider, and what it answers: at once, or an answer that it keeps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.fake_provider import Kept, Step
from tests.fake_provider.wire import DONE, Response, chunk, completion_usage, event

from .question import Question
from .saying import pieces

REPEATS: Final = "sim/repeats"

_PREAMBLES: Final = ("Sure, continuing from where I left off:\n\n", "Continuing:\n")
_OVERLAP: Final = 40  # characters
_LOOK: Final = 0.5  # seconds
_JUDGED: Final = 100  # characters of a continuation that come at once: enough to judge it

KeptAnswer = Kept[dict[str, Any]]


class Request(NamedTuple):
    """What is asked of the provider.

    Attributes:
        said: the text so far of the answer to continue, or "".
        continues: whether it is asked so in words.
        in_background: whether the provider is to keep the answer.
    """

    question: Question
    model: str
    said: str = ""
    continues: bool = False
    in_background: bool = False

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Request:
        turns = body.get("messages") or body["input"]
        roles = [turn["role"] for turn in turns]
        said, continues = "", False
        if roles[-1] == "assistant":
            said = turns.pop()["content"]
        elif roles[-2:] == ["assistant", "user"] and "cut off" in turns[-1]["content"]:
            continues = True
            turns.pop()
            said = turns.pop()["content"]
        # A question that was never answered stands before this one, in the same message.
        asked = turns[-1]["content"].rpartition("\n\n")[2]
        question = Question.parse(asked)
        return cls(question, body["model"], said, continues, "input" in body)


def continued(asked: Request, rng: random.Random) -> str:
    """How a model continues when it is asked to in words.

    Args:
        asked: with the beginning as it was sent: without white space at its end.
        rng: draws whether it continues exactly, repeats its last words, or starts over.
    """
    whole, said = asked.question.answer, asked.said
    assert whole.startswith(said), f"asked to continue {said!r}, which was never said"
    rest = whole[len(said) :]
    # A repetition of the whole would be a restart.
    repeated = said[-_OVERLAP:] if len(said) >= 2 * _OVERLAP else ""
    way = rng.choice(("exactly", "overlap", "overlap", "preamble", "anew", "apology"))
    if way == "exactly":
        return rest
    if way == "overlap":
        return repeated + rest
    if way == "preamble":
        return rng.choice(_PREAMBLES) + repeated + rest
    if way == "anew" and not asked.question.thoughts:  # those of a continuation are not shown
        return whole
    return "I'm sorry, but I do not see an answer to continue."


def completion(rng: random.Random, asked: Request, words: str) -> Iterator[Step]:
    """The events of an answer."""
    question = asked.question
    pause = question.pause / 1000
    for thought in question.thoughts_said if not asked.said else ():
        yield pause
        yield event(chunk({"reasoning": thought}))
    length = 0
    for piece in pieces(words, rng):
        if pause and not (asked.continues and length < _JUDGED):
            yield pause
        yield event(chunk({"content": piece}))
        length += len(piece)
    yield event(chunk({}, "stop"))
    yield event(chunk(None, usage=completion_usage(question.words)))
    yield DONE


def kept_answer(name: str, question: Question, rng: random.Random, *, fails: bool) -> KeptAnswer:
    """An answer that the provider makes with or without a reader."""
    said = pieces(question.answer, rng)
    response = Response(
        id=name,
        model="sim",
        thoughts=tuple(question.thoughts_said),
        texts=tuple(said[: rng.randrange(len(said)) if fails else None]),
        end="failed" if fails else "completed",
        error={"code": "server_error", "message": "It has failed."},
    )
    schedule, at = [], 0.0
    for number, (is_word, each) in enumerate(response.events()):
        at += question.pause / 1000 if is_word else 0.001 if number else 0
        schedule.append((at, each))
    return Kept(schedule, asyncio.get_running_loop().time, _LOOK)


def heard(kept: KeptAnswer, after: int) -> Iterator[Step]:
    """A kept answer after an event, from the beginning for -1, as it is sent."""
    for each in kept.follow(after + 1):
        yield each if isinstance(each, float) else event(each, each["type"])
    if kept.cancelled:
        yield event({"type": "response.cancelled", "response": {"status": "cancelled"}})
