"""The ladder: how the next attempt goes on from what the log has.

1. `reattach`: the provider keeps the answer as a job, which is read again from its mark on. What
   the log has since then comes again, is compared character by character, and skipped.
2. `prefill`: the model gets the text so far as its own, and goes on from there.
3. `continue`: the model is asked in words to go on; see `continuation`.
4. `restart`: the step begins again after a `reset-step`.

The best rung that is possible is chosen. After attempts without output there is nothing to go on
from and nothing to reset: the answer is restarted, unless there is a job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

from msgspec import Struct

from durable_llm_streams.errors import ModelError
from durable_llm_streams.fold import Fold
from durable_llm_streams.source import (
    Alive,
    Citation,
    Event,
    File,
    Finish,
    Job,
    LateThought,
    ReasoningDelta,
    TextDelta,
)

from .continuation import Mode, may_continue
from .idle_timeout import IdleTimeout

Rung = Literal["first", "reattach", "prefill", "continue", "restart"]

_WHOLE = {"file", "source-url"}  # parts after which an answer can go on


class Step(Struct, frozen=True, kw_only=True):
    """How one attempt begins.

    Attributes:
        rung: which one; `first` for the first attempt.
        text: `prefill`, `continue`: the text that the model goes on from.
        job: `reattach`: the job to read again.
        before_mark: `reattach`: what the log has of it up to its mark, as in `Fold.before_mark`.
        since_mark: `reattach`: what the log has of it since its mark, as in `Fold.since_mark`.
        part: the (kind, id) of the open part that it goes on in; ("", "") for none.
        resets: `restart`: whether readers have something that they must drop.
        repeated: `restart`: how many characters that is. `continue`: how many it would be if the
            model begins anew.
    """

    rung: Rung
    text: str = ""
    job: Job | None = None
    before_mark: Sequence[tuple[str, str]] | None = None
    since_mark: Sequence[tuple[str, str]] = ()
    part: tuple[str, str] = ("", "")
    resets: bool = False
    repeated: int = 0

    def notice(self) -> dict[str, Any]:
        """Its values in a notice."""
        repeats = self.rung == "restart" and self.repeated
        repeated = {"repeated": self.repeated} if repeats else {}
        return {"rung": self.rung, **repeated}


def choose(fold: Fold, *, reattach: bool, prefill: bool, continues: Mode) -> Step:
    """Choose the best rung.

    Args:
        fold: of the log so far.
        reattach: whether the log's job can be read again.
        prefill: whether the model can go on from a text.
        continues: which texts it can be asked in words to continue.
    """
    if not fold.message_id:
        return Step(rung="first")
    part = fold.open_parts[-1] if fold.open_parts else ("", "")
    if reattach and fold.job is not None:
        job = Job(*fold.job)
        return Step(
            rung="reattach",
            job=job,
            before_mark=fold.before_mark,
            since_mark=fold.since_mark,
            part=part,
        )
    kinds = {each["type"] for each in fold.step_parts}
    repeated = sum(len(each.get("text", "")) for each in fold.step_parts)
    open_kinds = {kind for kind, _ in fold.open_parts}
    so_far = "".join(each["text"] for each in fold.step_parts if each["type"] == "text")
    if kinds <= {"text", "reasoning", *_WHOLE} and open_kinds <= {"text"}:
        if prefill and so_far:
            return Step(rung="prefill", text=so_far, part=part)
        if may_continue(so_far, continues):
            return Step(rung="continue", text=so_far, part=part, repeated=repeated)
    return Step(rung="restart", resets=bool(fold.step_parts), repeated=repeated)


class Diverged(ModelError):
    """A job does not repeat what it sent before."""

    def __init__(self) -> None:
        super().__init__("The model's answer could not be continued.", retryable=True)


async def skip(
    events: AsyncGenerator[Event, None], since_mark: Sequence[tuple[str, str]], idle: IdleTimeout
) -> TextDelta | ReasoningDelta | None:
    """Skip the events of a job that the log has already.

    Args:
        events: of the job, from its mark on; afterwards the next one is new.
        since_mark: what the log has since the mark, as in `Fold.since_mark`.
        idle: its `last` is set at each event.

    Returns:
        The new end of a delta whose beginning is in the log; None if it has the whole delta.

    Raises:
        Diverged: the job sends something else, or less.
    """
    loop = asyncio.get_running_loop()
    for number, (kind, text) in enumerate(since_mark, 1):
        at = 0
        while at < len(text):
            event = await anext(events, None)
            idle.last = loop.time()
            if event is None:
                return None  # cut, as the caller finds when it reads on
            if isinstance(event, Job | Alive | File | Citation | LateThought):
                continue  # without text to compare
            if isinstance(event, Finish) or kind != _kind(event):
                raise Diverged
            rest = text[at : at + len(event.text)]
            at += len(event.text)
            if event.text != rest:
                if number < len(since_mark) or not event.text.startswith(rest):
                    raise Diverged
                return type(event)(event.text[len(rest) :])
    return None


def _kind(event: TextDelta | ReasoningDelta) -> str:
    return "text" if isinstance(event, TextDelta) else "reasoning"
