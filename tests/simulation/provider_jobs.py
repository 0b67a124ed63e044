"""Answers that the provider keeps while it makes them: OpenAI's responses in background mode."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from typing import Any

from .question import Question
from .saying import pieces


class KeptAnswer:
    """One such answer. It is made whether or not anybody listens.

    Args:
        name: its id.
        question: what is asked.
        rng: draws how it is said.
        fails: whether it fails in the middle.
    """

    def __init__(self, name: str, question: Question, rng: random.Random, *, fails: bool) -> None:
        self.name = name
        self.question = question
        self.cancelled = False
        self._loop = asyncio.get_running_loop()
        self._said: list[tuple[float, dict[str, Any]]] = []
        self._at = self._loop.time()
        self._make(rng, fails=fails)

    def cancel(self) -> None:
        """Nobody wants it any more. Repeating it is harmless."""
        self.cancelled = True

    async def listen(self, after: int) -> AsyncGenerator[bytes, None]:
        """What it says behind an event, from the beginning for -1, as it is said."""
        for at, event in self._said[after + 1 :]:
            while not self.cancelled and at > self._loop.time():
                await asyncio.sleep(min(at - self._loop.time(), 0.5))
            if self.cancelled and at > self._loop.time():
                about = {"id": self.name, "status": "cancelled"}
                yield _line({"type": "response.cancelled", "response": about})
                return
            yield _line(event)

    def _make(self, rng: random.Random, *, fails: bool) -> None:
        question, about = self.question, {"id": self.name, "background": True, "model": "sim"}
        pause = question.pause / 1000
        self._say(0, "response.created", response={**about, "status": "queued"})
        self._say(0.001, "response.in_progress", response={**about, "status": "in_progress"})
        for number in range(question.thoughts):
            thought = f"{question.name}-thought-{number} "
            self._say(pause, "response.reasoning_summary_text.delta", delta=thought)
        said = pieces(question.answer, rng)
        for piece in said[: rng.randrange(len(said)) if fails else None]:
            self._say(pause, "response.output_text.delta", delta=piece)
        if fails:
            error = {"code": "server_error", "message": "It has failed."}
            self._say(0, "response.failed", response={**about, "status": "failed", "error": error})
            return
        self._say(0, "response.output_text.done", text=question.answer)
        usage = {"input_tokens": 5, "output_tokens": question.words, "total_tokens": 9}
        self._say(0, "response.completed", response={**about, "usage": usage})

    def _say(self, later: float, kind: str, **about: Any) -> None:
        self._at += later
        self._said.append((self._at, {"type": kind, "sequence_number": len(self._said), **about}))


def _line(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
