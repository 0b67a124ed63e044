"""Chat completions: what is asked, and the events of an answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

from .question import Question
from .saying import pieces

REPEATS: Final = "sim/repeats"

_PREAMBLES: Final = ("Sure, continuing from where I left off:\n\n", "Continuing:\n")
_OVERLAP: Final = 40  # characters
_JUDGED: Final = 100  # characters of a continuation that come at once: enough to judge it


class Request(NamedTuple):
    """What is asked of the provider.

    Attributes:
        said: the beginning of the answer that is to be gone on with, or "".
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
        """Read a request's body."""
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
    """How a model goes on that is asked to in words.

    Args:
        asked: with the beginning as it was sent: without white space at its end.
        rng: draws whether it goes on exactly, repeats its last words, or begins anew.
    """
    whole, said = asked.question.answer, asked.said
    assert whole.startswith(said), f"asked to continue {said!r}, which was never said"
    rest = whole[len(said) :]
    # A repetition of the whole would be a beginning anew.
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


async def completion(rng: random.Random, asked: Request, words: str) -> AsyncGenerator[bytes, None]:
    """The events of an answer.

    Args:
        rng: draws in which pieces it comes.
        asked: what was asked.
        words: the text that the model says now.
    """
    question = asked.question
    for number in range(0 if asked.said else question.thoughts):
        await asyncio.sleep(question.pause / 1000)
        yield _event({"reasoning": f"{question.name}-thought-{number} "})
    length = 0
    for piece in pieces(words, rng):
        if question.pause and not (asked.continues and length < _JUDGED):
            await asyncio.sleep(question.pause / 1000)
        yield _event({"content": piece})
        length += len(piece)
    yield _event({}, reason="stop")
    usage = {"prompt_tokens": 5, "completion_tokens": question.words, "cost": 0.001}
    yield b"data: %b\n\n" % json.dumps({"choices": [], "usage": usage}).encode()
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: %b\n\n" % json.dumps({"id": "gen-1", "choices": [choice]}).encode()
