"""The exception tree.

DurableError
├── InvalidRequest            what was asked for can never work; say what to change
│   ├── InvalidCursor         the text is not a cursor
│   ├── InvalidPageToken      the text is not the token of a page of chats
│   ├── InvalidSetting        a setting that the server cannot start with
│   ├── MessageTooLong        the question alone is more than the model is sent
│   └── NotAQuestion          only a user's message can be edited
├── NotFound                  no such thing for this owner
│   ├── ChatNotFound
│   ├── MessageNotFound
│   └── RunNotFound
├── Conflict                  the state does not allow it now
│   ├── ChatBusy              an answer is being written in this chat
│   ├── MessageConflict       the message id is taken by another message
│   │   └── KeyConflict       the idempotency key was used with other content
│   ├── Fenced                another epoch writes this run, or it has ended
│   ├── SequenceMismatch      the log's end is not where the caller expected it
│   └── CursorLost            the cursor lies beyond the log, or in a lost one
├── StoreError
│   ├── StoreUnavailable      the store cannot do it now; the outcome may be unknown; try again
│   │   └── StoreClosed       this process has closed it
│   ├── StoreLocked           another process serves this store
│   └── StoreUnusable         not a store, read-only, or too new
├── Overload                  too much at once; ask again later, nothing was changed
│   ├── TooManyRuns           of one owner
│   ├── TooManyVisitors       new ones from one address
│   └── QueueFull             of all owners
├── LimitReached              a limit does not allow it now; ask again later
│   ├── BudgetSpent           of tokens or money
│   └── TooManyStreams        an owner has as many streams open as are allowed
├── ModelError                the model's provider did not answer as it should
└── ShuttingDown              this process takes no new work

`Conflict`, `NotFound`, `InvalidRequest` and `LimitReached` mean that nothing was changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar


class DurableError(Exception):
    """The root of this package's errors. The text is a sentence for the person who reads it.

    Args:
        sentence: the text; None takes the class's own.
    """

    sentence: ClassVar[str] = ""

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(self.sentence if sentence is None else sentence)


class InvalidRequest(DurableError):
    """What was asked for can never work; the text says what to change."""


class InvalidCursor(InvalidRequest):
    """The text is not a cursor."""

    sentence = "This is not a cursor. Use the id of the last event that you received, unchanged."


class InvalidPageToken(InvalidRequest):
    """The text is not the token of a page of chats."""

    sentence = "This is not a token of this list. Use the token of the page before."


class InvalidSetting(InvalidRequest):
    """A setting has a value that the server cannot start with."""


class MessageTooLong(InvalidRequest):
    """The question alone is more than the model is sent.

    Args:
        tokens: how many it has, by estimate.
        limit: how many are accepted.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"The message is too long for the model: it has about {tokens} tokens, and at most "
            f"{limit} are accepted. Shorten it, or send it in parts."
        )


class NotAQuestion(InvalidRequest):
    """The message to edit is an answer."""

    sentence = "Only a user's message can be edited."


class NotFound(DurableError):
    """There is no such thing, or it belongs to somebody else (the same answer for both)."""


class ChatNotFound(NotFound):
    """No such chat for this owner."""

    sentence = "There is no such chat, or it is not yours."


class MessageNotFound(NotFound):
    """No such message in this chat."""

    sentence = "There is no such message in this chat. Load the chat again."


class RunNotFound(NotFound):
    """No such run."""

    sentence = "There is no such run, or it is gone."


class Conflict(DurableError):
    """The present state does not allow it. Nothing was changed."""


class ChatBusy(Conflict):
    """An answer is being written in this chat.

    Attributes:
        run_id: the run that is in the way.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__("An answer is still being written in this chat. Wait for it or stop it.")
        self.run_id = run_id


class MessageConflict(Conflict):
    """The message id belongs to another message of this chat."""

    sentence = "A message with this id exists. Give it a new id."


class KeyConflict(MessageConflict):
    """The idempotency key was used before with other content."""

    sentence = "This id was used before with another content. Give the message a new id."


class Fenced(Conflict):
    """The run is no longer the caller's: another epoch claimed it, it ended, or it was deleted."""

    sentence = "Another worker has claimed this run, or it has ended already."


class SequenceMismatch(Conflict):
    """The log's end is not where the caller expected it.

    Attributes:
        next_seq: the sequence number that the log's next record gets.
    """

    def __init__(self, next_seq: int) -> None:
        super().__init__(f"The log goes on at record {next_seq}.")
        self.next_seq = next_seq


class CursorLost(Conflict):
    """The cursor names a record that this log does not hold: start over from a snapshot."""

    sentence = "The log has no such record, or no longer. Start over from the chat itself."


class StoreError(DurableError):
    """Something is wrong with the store itself."""


class StoreUnavailable(StoreError):
    """The store could not do it now. Whether it did is unknown; repeating the call is safe."""


class StoreClosed(StoreUnavailable):
    """This process has closed the store."""

    sentence = "The store is closed."


class StoreLocked(StoreError):
    """Another process serves this store."""


class StoreUnusable(StoreError):
    """This is not a store, it cannot be written, or it was made by a newer version."""


class ShuttingDown(DurableError):
    """This process takes no new work; another one, or this one after its restart, will."""

    sentence = "This server is about to end. Ask again in a moment."


class Overload(DurableError):
    """There is too much to do at once. Nothing was changed.

    Args:
        limit: how many there may be.

    Attributes:
        retry_after: seconds after which to ask again.
    """

    sentence = "There is too much to do at once. Ask again in a moment."
    retry_after: int = 10

    def __init__(self, limit: int) -> None:
        super().__init__(self.sentence.format(limit))
        self.limit = limit


class TooManyRuns(Overload):
    """The owner has as many runs as one may have, running and waiting."""

    sentence = (
        "{:,d} of your messages are being answered or wait, which is the limit. "
        "Stop an answer, or send this again when one has ended."
    )


class TooManyVisitors(Overload):
    """So many new visitors have sent messages from one address.

    Args:
        limit: how many may, within an hour.
        retry_after: seconds until the next one may.
    """

    sentence = (
        "{:,d} new visitors have sent messages from your network within an hour, which is the "
        "limit. If you have been here before, send the cookie that you got. Otherwise try later."
    )

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(limit)
        self.retry_after = retry_after


class QueueFull(Overload):
    """As many runs wait as may wait in the store."""

    sentence = "Too many messages wait for an answer here. Send this again in a moment."


class LimitReached(DurableError):
    """A limit does not allow it now. Nothing was changed.

    Args:
        kind: what is limited, see `model.Charge`.
        limit: how many units of it there are in a period.
        retry_after: seconds until it is allowed; None if it costs more than the whole limit.
    """

    def __init__(self, kind: str, limit: float, retry_after: float | None) -> None:
        reached = _LIMITS.get(kind, f"The limit of {{:,g}} {kind} is reached.").format(limit)
        if retry_after is None:
            super().__init__(f"This alone is more than is allowed. {reached} Make it shorter.")
        else:
            super().__init__(f"{reached} Ask again in {_duration(retry_after)}.")
        self.kind = kind
        self.limit = limit
        self.retry_after = retry_after


class BudgetSpent(LimitReached):
    """A limit of tokens or money does not allow it now."""


class TooManyStreams(LimitReached):
    """An owner has as many streams open as are allowed."""


_LIMITS: Mapping[str, str] = {
    "messages": "The limit is {:,g} messages an hour.",
    "tokens": "The limit is {:,g} tokens a day.",
    "cost": "The limit is {:,g} dollars a day.",
    "budget": "This server has used what it may use in a day.",
    "streams": "The limit is {:,g} open streams. Close a tab.",
}


def _duration(seconds: float) -> str:
    """A time in words, rounded up: `2 minutes`."""
    for length, unit in ((3600, "hour"), (60, "minute")):
        if seconds > 2 * length:
            return f"{ceil(seconds / length)} {unit}s"
    count = max(1, ceil(seconds))
    return f"{count} second{'s' if count > 1 else ''}"


class ModelError(DurableError):
    """A model's provider failed.

    The text may be shown to a person: it holds nothing that the provider wrote.

    Args:
        message: a sentence for the reader.
        retryable: whether trying again may help.
        retry_after: seconds that the provider asked to wait, if it did.
        meaning: what kind of failure it is, a word of the table in docs/providers.md; "" for a
            failure that the table does not know.
        refused_rung: whether the provider refused to go on from a partial answer. The next rung
            is tried at once and this failure costs no attempt.
        job_over: whether the job that made the answer is over, or can no longer be followed.
        metadata: what is known of the failed attempt all the same: `usage`, `cost`; see `Finish`.
        detail: what the operator's log may hold. Never shown to a reader.
    """

    def __init__(
        self,
        message: str,
        *,
        meaning: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
        refused_rung: bool = False,
        job_over: bool = False,
        metadata: Mapping[str, Any] | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.meaning = meaning
        self.retryable = retryable
        self.retry_after = retry_after
        self.refused_rung = refused_rung
        self.job_over = job_over
        self.metadata = metadata or {}
        self.detail = detail
