"""Joins the text of a polled job to what the log has of it.

A streamed job is resumed after its mark. A poll returns the whole answer. So the log's text of the
job must be known from its beginning, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.source import Event, Prompt, ReasoningDelta, TextDelta

#: The delays between polls.
POLL_DELAY: Final = Backoff(1.0, 10.0, jitter=0.0)

_Texts = Sequence[tuple[str, str]]


class LogOfJob(NamedTuple):
    """What the log has of a job, as (kind, text).

    Attributes:
        before: up to the job's mark.
        since: after the mark.
    """

    before: _Texts
    since: _Texts

    def events(self) -> list[Event]:
        """The log's text after the mark, as events."""
        return [
            TextDelta(text) if kind == "text" else ReasoningDelta(text) for kind, text in self.since
        ]


def log_of_job(prompt: Prompt) -> LogOfJob | None:
    """What the log has of the prompt's job; None if that is not known."""
    return None if prompt.before_mark is None else LogOfJob(prompt.before_mark, prompt.since_mark)
