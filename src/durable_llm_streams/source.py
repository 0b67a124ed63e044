"""What a run needs of a model: the Source protocol and the events that one yields.

Sources are stateless towards the run: everything that they must know is in the `Prompt`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct


class Turn(Struct, frozen=True):
    """One message of the conversation, as plain text."""

    role: Literal["system", "user", "assistant"]
    text: str


class Job(Struct, frozen=True):
    """An answer that the provider itself keeps, and goes on with whether or not anybody listens.

    As an event: the provider makes this answer as that job, and every event before this one is what
    the job said up to `mark`. It comes before the first delta. It may come again, with a later
    mark, so that less is told again to whoever listens to the job later; a mark is a record in the
    log, so one for a thousand deltas is often enough.

    Attributes:
        id: the provider's name of the job.
        mark: a place in what the job says, in the source's own words; "" for its beginning.
    """

    id: str
    mark: str = ""


class Prompt(Struct, frozen=True, kw_only=True):
    """What is asked of a model.

    Attributes:
        model: the model's id, as offered.
        turns: the conversation, oldest first; the last turn is the user's.
        said: the beginning of the answer that stands already and is to be continued (the rung
            `prefill`), or "" for an answer from the start. Only for models that can.
        continues: the rung `continue`: the last two turns are the partial answer and a request to
            go on from its end. An answer that says nothing more is then a whole one.
        job: the job to listen to again (the rung `reattach`): everything that it says after its
            mark, also what it has said already. None to ask the model. Only for a `JobSource`.
        before: with a `job`: (kind, text) of what the log has of it from its beginning to its mark,
            for a source that gets the whole answer and must find the mark in it; None if that is
            not known. The kinds are `text` and `reasoning`.
        heard: with a `job`: the same from its mark on. The source yields it all the same.
    """

    model: str
    turns: Sequence[Turn]
    prefill: str = ""
    continues: bool = False
    job: Job | None = None
    before_mark: Sequence[tuple[str, str]] | None = None
    since_mark: Sequence[tuple[str, str]] = ()


class TextDelta(Struct, frozen=True, gc=False):
    """A piece of the answer."""

    text: str


class ReasoningDelta(Struct, frozen=True, gc=False):
    """A piece of the model's reasoning."""

    text: str


class File(Struct, frozen=True, kw_only=True):
    """A picture or another file that belongs to the answer.

    Attributes:
        media_type: such as `image/png`.
        url: a `data:` URL with the whole file, or an `https:` address.
    """

    media_type: str
    url: str


class Citation(Struct, frozen=True, kw_only=True):
    """A web page that the answer refers to.

    Attributes:
        url: an `http:` or `https:` address.
        title: of the page, or "".
    """

    url: str
    title: str = ""


class LateThought(Struct, frozen=True):
    """The text of this attempt so far was reasoning.

    A model closed a thought that it had not opened. The answer's own text follows.
    """


class Alive(Struct, frozen=True):
    """A sign of life without output. It moves time limits and leaves no trace in the answer.

    Attributes:
        kind: `chunk`: a part of the protocol that holds nothing to show; the same as a token to
            the limit between tokens. `comment`: a keep-alive; it counts before the first token
            only. `thinking`: the model may be silent while it thinks; from now on only the longer
            limit before the first token (`Limits.thinking`) counts.
    """

    kind: Literal["chunk", "comment", "thinking"]


class Finish(Struct, frozen=True, kw_only=True):
    """The model is done. An answer without one was cut.

    Attributes:
        reason: an AI SDK finish reason: `stop`, `length`, `content-filter`, `tool-calls`, `other`.
        metadata: what is known of the answer, for the message's metadata: `model` (the one that
            answered), `usage` (inputTokens, outputTokens, totalTokens, reasoningTokens,
            cachedInputTokens), `cost` (US dollars), `generationId`.
    """

    reason: str
    metadata: Mapping[str, Any]


Event = TextDelta | ReasoningDelta | LateThought | File | Citation | Alive | Job | Finish


class Source(Protocol):
    """Models behind one interface."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer. The last event is a `Finish`.

        Closing the generator, or cancelling the task that iterates it, must end the provider's
        work at once (close the connection); a job goes on, until `JobSource.cancel`.

        Raises:
            ModelError: the provider failed or its answer was cut; `retryable` says whether trying
                again may help. No other error for what a provider may do.
        """
        ...

    def can_prefill(self, model: str) -> bool:
        """Whether the model continues an answer whose beginning it is given."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class ContinuingSource(Source, Protocol):
    """A source whose models can be asked in words to go on from a partial answer."""

    def can_continue(self, model: str) -> bool:
        """Whether a model may be asked to; see `Prompt.continues`."""
        ...


@runtime_checkable
class JobSource(Source, Protocol):
    """A source of which a provider keeps answers as jobs.

    It yields a `Job` before the first delta of such an answer, and listens to one again when the
    prompt names it. A `ModelError` with `job_over` says that this is no use (any more), and that
    the source has ended the job, as far as that could be done: the next attempt asks anew.
    """

    async def cancel(self, job: Job) -> None:
        """End a job that nobody waits for any more.

        Repeating it, also for one that is over, is harmless.

        Raises:
            ModelError: it could not be done; `retryable` says whether trying again may help.
        """
        ...
