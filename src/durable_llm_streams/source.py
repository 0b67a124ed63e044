"""The contract of a model: the Source protocol, and the events that a source yields.

Sources keep no state of a run: everything that they need is in the `Prompt`.
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
    """An answer that the provider keeps, and goes on with when the connection is closed.

    As an event, it comes before the first delta: the provider makes this answer as this job. It may
    come again with a later mark: all events before it are the job's output up to `mark`. A later
    mark means that less is read again when the job is resumed. Each mark is a record in the log, so
    one for a thousand deltas is often enough.

    Attributes:
        id: the provider's id of the job.
        mark: a position in the job's output, in the source's own format; "" for its beginning.
    """

    id: str
    mark: str = ""


class Prompt(Struct, frozen=True, kw_only=True):
    """A request to a model.

    Attributes:
        model: the model's id, as offered.
        turns: the conversation, oldest first; the last turn is the user's.
        prefill: the beginning of the answer, to be continued (the rung `prefill`), or "" for an
            answer from the start. Only for models that support it.
        continues: the rung `continue`: the last two turns are the partial answer and a request to
            go on from its end. An empty answer is then valid.
        job: the job to resume (the rung `reattach`): yield everything after its mark. None to ask
            the model. Only for a `JobSource`.
        before_mark: with a `job`: (kind, text) of what the log has of it up to its mark; None if
            that is not known. The kinds are `text` and `reasoning`. A source that gets the whole
            answer needs it to find the mark.
        since_mark: with a `job`: the same after its mark. The source yields it nevertheless.
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
    """The text of this attempt so far was reasoning. The answer's own text follows.

    The model closed a thought that it had not opened.
    """


class Alive(Struct, frozen=True):
    """A sign of life without output. It restarts timeouts and leaves no trace in the answer.

    Attributes:
        kind: `chunk`: a part of the protocol without output; it counts as a token for the timeout
            between tokens. `comment`: a keep-alive; it counts only before the first token.
            `thinking`: the model may be silent while it thinks; from now on only the longer
            timeout before the first token (`Limits.thinking`) applies.
    """

    kind: Literal["chunk", "comment", "thinking"]


class Finish(Struct, frozen=True, kw_only=True):
    """The model is done. An answer without one was cut.

    Attributes:
        reason: an AI SDK finish reason: `stop`, `length`, `content-filter`, `tool-calls`, `other`.
        metadata: for the message's metadata, as far as known: `model` (the one that answered),
            `usage` (inputTokens, outputTokens, totalTokens, reasoningTokens, cachedInputTokens),
            `cost` (US dollars), `generationId`.
    """

    reason: str
    metadata: Mapping[str, Any]


Event = TextDelta | ReasoningDelta | LateThought | File | Citation | Alive | Job | Finish


class Source(Protocol):
    """Models behind one interface."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer. The last event is a `Finish`.

        Closing the generator, or cancelling the task that iterates it, must close the connection at
        once, so that the provider stops. A job goes on until `JobSource.cancel`.

        Raises:
            ModelError: the provider failed or its answer was cut; `retryable` says whether a retry
                may help. No failure of a provider raises another error.
        """
        ...

    def can_prefill(self, model: str) -> bool:
        """Whether the model can continue an answer from a given beginning."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class ContinuingSource(Source, Protocol):
    """A source whose models can be asked in words to go on from a partial answer."""

    def can_continue(self, model: str) -> bool:
        """Whether a model may be asked to go on; see `Prompt.continues`."""
        ...


@runtime_checkable
class JobSource(Source, Protocol):
    """A source whose provider keeps answers as jobs.

    It yields a `Job` before the first delta of such an answer, and resumes a job that the prompt
    names. A `ModelError` with `job_over` says that the job cannot be resumed, and that the source
    has cancelled it as far as possible. The next attempt asks anew.
    """

    async def cancel(self, job: Job) -> None:
        """Cancel a job that is no longer needed.

        Idempotent, also for a job that has ended.

        Raises:
            ModelError: the job was not cancelled; `retryable` says whether a retry may help.
        """
        ...


@runtime_checkable
class StoringSource(JobSource, Protocol):
    """A source whose provider stores what a job has said, also after its end."""

    async def delete_job(self, job: Job) -> None:
        """Delete a job that has ended or was cancelled. Idempotent.

        Raises:
            ModelError: the job was not deleted; `retryable` says whether a retry may help.
        """
        ...
