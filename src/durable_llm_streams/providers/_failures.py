"""What a provider's failure means: a sentence for people, and whether to try again.

The sentences hold nothing of the provider's own text, key or address. Its text goes to `detail`,
for the operator's log, and there only through `Redactor`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from durable_llm_streams.errors import ModelError

MAX_WAIT: Final = 3600.0  # seconds; more than that of a Retry-After is not believed
MAX_DETAIL: Final = 1000  # characters

_KEY = (
    "The server's key for the model provider was refused. "
    "Whoever runs this server must set a valid key."
)
_CREDIT = (
    "The server's account with the model provider has no credit left. "
    "Whoever runs this server must add some."
)
_TOO_LONG = (
    "The conversation is too long for this model. "
    "Start a new chat, or choose a model that reads longer ones."
)
_REFUSED = "The model provider refused the request."
_FLAGGED = "The model provider's rules did not let this message through. Try other words."
_NO_MODEL = "The model provider does not offer this model. Choose another one."
_BUSY = "The model provider is too busy now. Try again in a moment."
_SLOW = "The model provider took too long. Try again."
_FAILED = "The model provider had a problem. Try again."
_MOVED = "The model provider's address leads elsewhere. Whoever runs this server must correct it."
_NO_STREAM = (
    "The model provider did not answer with a stream. "
    "Whoever runs this server must check the provider's address."
)

# status: (sentence, whether trying again may help); every other 4xx is refused, 5xx has failed
_STATUSES: dict[int, tuple[str, bool]] = {
    400: (_REFUSED, False),
    401: (_KEY, False),
    402: (_CREDIT, False),
    403: (_KEY, False),
    404: (_NO_MODEL, False),
    408: (_SLOW, True),
    409: (_FAILED, True),
    413: (_TOO_LONG, False),
    425: (_BUSY, True),
    429: (_BUSY, True),
    503: (_BUSY, True),
    504: (_SLOW, True),
    529: (_BUSY, True),
}

# the providers' own words for a failure (OpenAI, OpenRouter, vLLM), where they say more
_CODES: dict[str, tuple[str, bool]] = {
    "authentication_error": (_KEY, False),
    "bio_policy": (_FLAGGED, False),
    "content_filter": (_FLAGGED, False),
    "content_policy_violation": (_FLAGGED, False),
    "context_length_exceeded": (_TOO_LONG, False),
    "data_residency_mismatch": (_REFUSED, False),
    "insufficient_quota": (_CREDIT, False),
    "invalid_api_key": (_KEY, False),
    "invalid_prompt": (_FLAGGED, False),
    "invalid_request_error": (_REFUSED, False),
    "misalignment_policy_violation": (_FLAGGED, False),
    "model_not_found": (_NO_MODEL, False),
    "permission_error": (_KEY, False),
    "rate_limit_exceeded": (_BUSY, True),
    "string_above_max_length": (_TOO_LONG, False),
}
_VAGUE = frozenset({"invalid_request_error"})  # says less than a status

_CONTEXT = re.compile(r"context.?(length|window)|maximum context|prompt is too long", re.IGNORECASE)


class Redactor:
    """Makes a provider's text fit for the operator's log.

    Args:
        secrets: what must not be in it; short ones (under 8 characters) are no secrets.
    """

    def __init__(self, secrets: Iterable[str | None]) -> None:
        found = {secret for secret in secrets if secret and len(secret) >= 8}
        self._secrets = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Without the secrets, on one line, at most `MAX_DETAIL` characters."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        text = "".join(mark if mark.isprintable() else " " for mark in text[: 4 * MAX_DETAIL])
        return " ".join(text.split())[:MAX_DETAIL]


class _Error(Struct):
    code: Any = None
    type: Any = None
    message: Any = None
    metadata: Any = None


def refused(
    status: int, body: str, *, retry_after: float | None = None, continuing: bool = False
) -> ModelError:
    """The provider answered with an HTTP status that is no success.

    Args:
        status: the HTTP status.
        body: what it said, for the log and for its error code.
        retry_after: seconds that it asked to wait.
        continuing: whether the request carried the beginning of the answer.
    """
    if 300 <= status < 400:
        return ModelError(_MOVED, detail=f"HTTP {status}")
    sentence, retryable = _judge(status, _error_in(body), body)
    return ModelError(
        sentence,
        retryable=retryable,
        retry_after=retry_after if retryable else None,
        refused_rung=continuing and status in (400, 422),
        detail=f"HTTP {status}: {body}",
    )


def reported(error: Any, *, job_over: bool = False) -> ModelError:
    """The provider reported an error inside its answer.

    Args:
        error: the `error` value of the event: an object, or whatever it was.
        job_over: whether the job that makes the answer is over with it.
    """
    found = _as_error(error)
    code = found.code
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    sentence, retryable = _judge(status, found, str(found.message))
    detail = f"in the answer: {error}"
    return ModelError(sentence, retryable=retryable, job_over=job_over, detail=detail)


def job_gone(detail: str) -> ModelError:
    """The provider keeps the job no longer, or lets nobody listen to it."""
    sentence = "The model provider does not keep this answer any more."
    return ModelError(sentence, retryable=True, job_over=True, detail=detail)


def job_ended(status: Any) -> ModelError:
    """The job ended without an answer.

    Args:
        status: the provider's word for it.
    """
    sentence = "The model provider ended its work on this answer. Try again."
    return ModelError(sentence, retryable=True, job_over=True, detail=f"the job is {status!r}")


def not_a_stream(body: str) -> ModelError:
    """A success whose body is no event stream: a page, or JSON with or without an error in it."""
    error = _error_in(body)
    if error.code is not None or error.message is not None:
        return reported(msgspec.to_builtins(error))
    return ModelError(_NO_STREAM, detail=body)


def cut(why: BaseException | None = None) -> ModelError:
    """The answer ended before its end."""
    detail = "" if why is None else f"{type(why).__name__}: {why}"
    sentence = "The model provider's answer broke off. Try again."
    return ModelError(sentence, retryable=True, detail=detail)


def nothing() -> ModelError:
    """A stream without a single event."""
    return ModelError("The model provider answered with nothing. Try again.", retryable=True)


def empty() -> ModelError:
    """A finished answer without a word."""
    return ModelError("The model gave an empty answer.", retryable=True, job_over=True)


def unreadable(payload: bytes) -> ModelError:
    """An event that is not what this kind of provider sends."""
    sentence = "The model provider sent something that cannot be read. Try again."
    text = payload[: 4 * MAX_DETAIL].decode(errors="replace")
    return ModelError(sentence, retryable=True, detail=text)


def too_much() -> ModelError:
    """A line longer than any answer's."""
    return ModelError("The model provider sent a piece that is too large to read.")


def unreachable(why: BaseException) -> ModelError:
    """No connection to the provider, or none until its first byte."""
    sentence = "The model provider cannot be reached. Try again in a moment."
    return ModelError(sentence, retryable=True, detail=f"{type(why).__name__}: {why}")


def wait_asked(value: str | None, now: float) -> float | None:
    """What a `Retry-After` header asks for.

    Args:
        value: the header: seconds, or an HTTP date.
        now: the time, in seconds since the epoch.

    Returns:
        Seconds, at most `MAX_WAIT`; None for no header, the past and what cannot be read.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(seconds, MAX_WAIT) if seconds >= 0 else None


def _judge(status: int, error: _Error, text: str) -> tuple[str, bool]:
    for word in (error.code, error.type):
        if isinstance(word, str) and word in _CODES and (status == 500 or word not in _VAGUE):
            return _CODES[word]
    if status in (400, 413, 422) and _CONTEXT.search(text):
        return _TOO_LONG, False
    if status == 403 and isinstance(error.metadata, dict) and "reasons" in error.metadata:
        return _FLAGGED, False  # OpenRouter's moderation
    return _STATUSES.get(status, (_FAILED, True) if status >= 500 else (_REFUSED, False))


def _error_in(body: str) -> _Error:
    """The error object of a JSON body; an empty one where there is none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Error()
    if isinstance(value, dict):
        return _as_error(value.get("error", value if "message" in value else None))
    return _Error()


def _as_error(value: Any) -> _Error:
    if isinstance(value, dict):
        return _Error(*(value.get(name) for name in ("code", "type", "message", "metadata")))
    return _Error(message=value)
