"""A provider's failure as the error of a run: a sentence for people, and a rule.

`classify` finds its meaning, and `meanings` decides what follows. The sentences hold nothing of the
provider's own text, key or address. Its text goes to `detail`, for the operator's log, and there
only through `Redactor`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from durable_llm_streams.errors import ModelError

from . import meanings, wordings
from .classify import classify, true_status
from .evidence import MAX_BODY, Evidence, from_body, from_value
from .meanings import MAX_WAIT, MEANINGS, Meaning, refuses_rung
from .redactor import MAX_DETAIL, Redactor
from .refused_fields import field_instead, role_rule, unsupported_field
from .retry_after import LONGEST, wait_asked, wait_found
from .unreachable import unreachable

__all__ = [
    "LONGEST",
    "MAX_DETAIL",
    "MAX_WAIT",
    "MEANINGS",
    "Meaning",
    "Redactor",
    "as_refused_rung",
    "cut",
    "empty",
    "field_instead",
    "job_ended",
    "job_gone",
    "not_a_stream",
    "nothing",
    "refused",
    "refuses_rung",
    "reported",
    "role_rule",
    "too_much",
    "unreachable",
    "unreadable",
    "unsupported_field",
    "wait_asked",
]

# For these kinds of limits, the sentence says when they end, although there is no retry.
_MAY_WAIT: Final = frozenset({"rate-long"})


def refused(
    status: int,
    body: str,
    *,
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
    continuing: bool = False,
    now: float | None = None,
) -> ModelError:
    """The provider answered with an HTTP status that is not a success.

    Args:
        status: the HTTP status.
        body: the body of the response.
        retry_after: seconds that it asked to wait, if that is known already.
        headers: the headers of the response, which may hold a time to wait.
        continuing: whether the request carried the beginning of the answer.
        now: the time, in seconds since the epoch; the system's clock if None.
    """
    found = from_body(body)
    now = time.time() if now is None else now
    if retry_after is None:
        retry_after = wait_found(headers, now, found, true_status(status, found))
    meaning = classify(status, found, continuing=continuing)
    ending = "" if meaning == "moved" else f": {body}"
    return _error(meaning, found, f"HTTP {status}{ending}", retry_after, now, continuing=continuing)


def reported(
    error: Any, *, job_over: bool = False, continuing: bool = False, now: float | None = None
) -> ModelError:
    """The provider reported an error inside its answer.

    Args:
        error: the `error` value of the event: an object, a text, or whatever it was.
        job_over: whether the job has ended, too.
        continuing: whether the request carried the beginning of the answer, and the provider failed
            before its first text.
        now: the time, in seconds since the epoch; the system's clock if None.
    """
    found = from_value(error)
    now = time.time() if now is None else now
    status = true_status(0, found)
    wait = wait_found(None, now, found, status)
    meaning = classify(0, found, continuing=continuing)
    detail = f"in the answer: {_shown(error)}"
    failure = _error(meaning, found, detail, wait, now, continuing=continuing)
    failure.job_over = job_over
    return failure


def not_a_stream(
    body: str,
    *,
    headers: Mapping[str, str] | None = None,
    continuing: bool = False,
    now: float | None = None,
) -> ModelError:
    """A success whose body is not an event stream: a page, or JSON with or without an error.

    Args:
        body: the body of the response.
        headers: the headers of the response, which may hold a time to wait.
        continuing: whether the request carried the beginning of the answer.
        now: the time, in seconds since the epoch; the system's clock if None.
    """
    found = from_body(body)
    now = time.time() if now is None else now
    meaning = classify(200, found, continuing=continuing) if found.form == "json" else ""
    if not meaning or (meaning == "broken" and not found.is_error):
        meaning = "not-a-stream"
    wait = wait_found(headers, now, found, true_status(200, found))
    return _error(meaning, found, body, wait, now, continuing=continuing)


def as_refused_rung(error: ModelError) -> ModelError:
    """Mark a failure of a continuation before its first text.

    Args:
        error: the failure; returned, with `refused_rung` set if failures of its kind refuse one.
    """
    error.refused_rung = error.refused_rung or refuses_rung(error.meaning)
    return error


def job_gone(detail: str) -> ModelError:
    """The provider no longer keeps the job, or refuses to resume it."""
    return _plain("job-gone", detail, job_over=True)


def job_ended(status: Any) -> ModelError:
    """The job ended without an answer.

    Args:
        status: the job's status, in the provider's words.
    """
    return _plain("job-ended", f"the job is {status!r}", job_over=True)


def cut(why: BaseException | None = None) -> ModelError:
    """The answer broke off."""
    return _plain("cut", "" if why is None else f"{type(why).__name__}: {why}")


def nothing() -> ModelError:
    """A stream without a single event."""
    return _plain("nothing")


def empty() -> ModelError:
    """A finished answer without text."""
    return _plain("empty", job_over=True)


def unreadable(payload: bytes) -> ModelError:
    """An event that is invalid in this provider's protocol."""
    return _plain("unreadable", payload[: 4 * MAX_DETAIL].decode(errors="replace"))


def too_much() -> ModelError:
    """A line that is too long."""
    return _plain("too-large")


def _shown(value: Any) -> str:
    """A value as text, for the log."""
    try:
        return str(value)[:MAX_BODY]
    except RecursionError:
        return "nested too deep to be shown"


def _plain(meaning: str, detail: str = "", *, job_over: bool = False) -> ModelError:
    known = MEANINGS[meaning]
    return ModelError(
        known.sentence,
        meaning=meaning,
        retryable=known.retryable,
        job_over=job_over,
        detail=detail,
    )


def _error(
    meaning: str,
    found: Evidence,
    body: str,
    wait: float | None,
    now: float,
    *,
    continuing: bool,
) -> ModelError:
    """The error of a meaning. A wait longer than `MAX_WAIT` makes it `rate-long`."""
    if MEANINGS[meaning].retryable and wait is not None and wait > MAX_WAIT:
        meaning = "rate-long"
    sentence = _sentence(meaning, found, wait, now)
    retryable = MEANINGS[meaning].retryable
    return ModelError(
        sentence,
        meaning=meaning,
        retryable=retryable,
        retry_after=wait if retryable else None,
        refused_rung=continuing and refuses_rung(meaning),
        detail=body,
    )


def _sentence(meaning: str, found: Evidence, wait: float | None, now: float) -> str:
    if meaning == "no-credit" and (afford := wordings.CAN_AFFORD.search(found.text)):
        tokens = int(afford[1])
        return meanings.CAN_AFFORD.format(f" to {tokens}" if tokens else "")
    if meaning == "unsupported" and wordings.TOO_MANY_TOKENS.search(found.text):
        return meanings.TOO_MANY_TOKENS
    if meaning in _MAY_WAIT and _is_believable(found, wait):
        assert wait is not None
        return meanings.BUSY_UNTIL.format(_time(now + wait))
    return MEANINGS[meaning].sentence


def _is_believable(found: Evidence, wait: float | None) -> bool:
    """Whether the limit really ends then. Google asks to wait seconds for a limit of a day."""
    if wait is None or wait >= LONGEST:
        return False
    return wait > MAX_WAIT or not (
        "resource_exhausted" in found.words or "generativelanguage" in found.text
    )


def _time(seconds: float) -> str:
    """The minute in which the wait ends, in UTC."""
    whole = -(-seconds // 60) * 60
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M UTC")
