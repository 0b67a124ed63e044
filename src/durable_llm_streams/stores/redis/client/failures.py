"""What a Redis's refusal means, in a sentence for the operator."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

from durable_llm_streams.errors import StoreUnavailable

from .errors import RedisError, RedisTimeoutError, ResponseError

#: Of each first word of an error that may pass: what it means.
_PASSING = {
    "OOM": "is out of memory (maxmemory); give it more, or delete something",
    "LOADING": "is loading its data after a start",
    "BUSY": "is busy with a script that does not end; SCRIPT KILL ends it",
    "READONLY": "is a replica, or was made one by a failover",
    "MASTERDOWN": "is a replica without its master",
    "CLUSTERDOWN": "is a Cluster that is down: some of its masters are missing",
    "TRYAGAIN": "is a Cluster that is moving these keys",
    "MOVED": "is a Cluster whose servers do not agree where these keys are",
    "ASK": "is a Cluster that is moving these keys",
    "MISCONF": "cannot write its data to its disk; look into its log",
    "NOREPLICAS": "has too few replicas that keep up (min-replicas-to-write)",
    "NOAUTH": "wants a password, and the address has none",
    "WRONGPASS": "refuses the user or the password",
    "NOPERM": "does not allow this user to do that",
    "UNKILLABLE": "is busy with a script that does not end",
}
#: Of words that an error has in it: the same, for errors without a first word of their own.
_WORDS = {
    "max number of clients": "has too many clients (maxclients)",
    "max daily request limit": "has reached its daily limit of requests",
    "max requests limit": "has reached its limit of requests",
    "can't run this command": "does not allow this user to do that",
    "acl failure": "does not allow this user to do that",
    "has no permissions": "does not allow this user to do that",
    "invalid password": "refuses the user or the password",
    "without any password configured": "wants no password, and the address has one",
    "no password is set": "wants no password, and the address has one",
    "operation not permitted": "wants a password, and the address has none",
}


def code(error: Exception) -> str:
    """The first word of a server's error, such as `NOPERM`; "" if it is not such an error."""
    return error.code if isinstance(error, ResponseError) else ""


def unavailable(error: Exception) -> StoreUnavailable | None:
    """The error for a caller, if this one may pass; None is a mistake in a script.

    Args:
        error: what a call raised.
    """
    meaning = _meaning(error)
    if meaning is None:
        return None
    return StoreUnavailable(f"Redis {meaning}; it is tried again.")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, newest first, each once.

    An error that was raised again while it was handled may have come from itself.
    """
    yielded: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and not any(seen is each for each in yielded):
        yielded.append(seen)
        yield seen
        seen = seen.__cause__ or seen.__context__


def retrieved(task: asyncio.Task[Any]) -> None:
    """For a task that others wait for: if all of them have gone, nobody asks how it ended."""
    if not task.cancelled():
        task.exception()


def _meaning(error: Exception) -> str | None:
    text = f"{error!s:.200}".rstrip(".") or type(error).__name__
    known = _PASSING.get(code(error)) or next(
        (known for part, known in _WORDS.items() if part in text.lower()), None
    )
    if known is not None:
        return f"{known} ({text})"
    if isinstance(error, ResponseError):
        return None
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return f"does not answer in time ({text})"
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return f"cannot be reached over TLS ({cause.reason or cause})"
    if isinstance(error, RedisError | OSError):
        return f"cannot be reached ({text})"
    return None
