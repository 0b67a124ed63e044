"""How long a provider asks to wait, in all forms in use.

Sources: RFC 9110, section 10.2.3 (`Retry-After`); OpenAI's and Azure's `retry-after-ms` and
`x-ratelimit-reset-*`; OpenRouter's `X-RateLimit-Reset`; the `RateLimit-Reset` of the IETF's drafts;
Google's `google.rpc.RetryInfo`; sentences such as "Please try again in 1m2.5s".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from .evidence import Evidence, from_body

#: Seconds; a longer time is cut to this.
LONGEST: Final = 366 * 86400.0

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,12})?")
_UNIT = (
    r"milliseconds?|msecs?|ms|seconds?|secs?|sec|s|minutes?|mins?|min|m|hours?|hrs?|hr|h|days?|d"
)
_STEP = re.compile(rf"([0-9]{{1,12}}(?:\.[0-9]{{1,12}})?) ?({_UNIT})(?![a-z])")
_STEPS = rf"(?:[0-9]{{1,12}}(?:\.[0-9]{{1,12}})? ?(?:{_UNIT})(?![a-z])(?:, | and | )?){{1,5}}"
_DURATION = re.compile(_STEPS)
_WAIT_PHRASE = re.compile(
    r"(?:try again|trying again|retry|retrying|wait|reset|resets|available)"
    r"(?: again| your request)?"
    r"(?: after| in| for| at least| about| approximately){0,3}:? "
    rf"(?P<wait>{_STEPS}|[0-9]{{1,9}}(?:\.[0-9]{{1,12}})?(?= ?(?:$|[\n.,;)])))"
)
_DATE_PHRASE = re.compile(
    r"(?:regain access|try again|retry|resets?|available|until|after|unlocks?)[^.]{0,40}?"
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:t| at | )"
    r"(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?) ?"
    r"(?P<zone>z\b|utc|gmt|[+-][0-9]{2}:?[0-9]{2})?"
)
_CLOCK_PHRASE = re.compile(
    r"(?:replenished|again|retry|reset) in ([0-9]{1,3}):([0-9]{2}):([0-9]{2})\b"
)
_SCALES: Final = {"m": 60.0, "h": 3600.0, "d": 86400.0, "s": 1.0}


def wait_asked(
    asked: str | Mapping[str, str] | None, now: float, *, body: str = "", status: int = 0
) -> float | None:
    """How long the provider asks to wait.

    Args:
        asked: all headers of the response, or the value of its `Retry-After`, or None.
        now: the time, in seconds since the epoch.
        body: the response's body, which may also hold a time.
        status: the HTTP status. Headers that say when a limit is reset count only with 429:
            providers send them with every response.

    Returns:
        Seconds, at most `LONGEST`; None for no time, the past, or an unreadable value.
    """
    return wait_found(asked, now, from_body(body), status)


def wait_found(
    asked: str | Mapping[str, str] | None, now: float, found: Evidence, status: int
) -> float | None:
    """`wait_asked` for a body that was read already."""
    headers = asked if isinstance(asked, Mapping) else {"retry-after": asked or ""}
    for seconds in _in_order(_lower(headers), now, found, status):
        if seconds is not None:
            return min(seconds, LONGEST)
    return None


def _in_order(
    headers: Mapping[str, str], now: float, found: Evidence, status: int
) -> Iterator[float | None]:
    """The times, from the most explicit to the least."""
    yield _own_headers(headers, now)
    for name, value in found.delays:
        yield _field(name, value, now)
    behind = [_lower(inner) for inner in found.headers[:4]]
    for inner in behind:
        yield _own_headers(inner, now)
    yield _sentence(found.text, now)
    if status in (0, 200, 429):
        yield from (_limits(inner, now) for inner in [headers, *behind])


def _lower(headers: Mapping[Any, Any]) -> dict[str, str]:
    pairs = list(headers.items())[:200]
    return {str(name).lower(): str(value).strip()[:100] for name, value in pairs}


def _own_headers(headers: Mapping[str, str], now: float) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if _NUMBER.fullmatch(headers.get(name, "")):
            return float(headers[name]) / 1000
    return _moment(headers.get("retry-after", ""), now)


def _limits(headers: Mapping[str, str], now: float) -> float | None:
    """When the exceeded limit is reset; the longest time if the limit is not named."""
    names = [
        f"x-ratelimit-reset-{kind}"
        for kind in ("requests", "tokens")
        if _is_used_up(headers.get(f"x-ratelimit-remaining-{kind}"))
    ]
    names += ["x-ratelimit-reset", "ratelimit-reset"]
    waits = [_moment(headers.get(name, ""), now) for name in names]
    return max((wait for wait in waits if wait is not None), default=None)


def _is_used_up(remaining: str | None) -> bool:
    return remaining is None or not _NUMBER.fullmatch(remaining) or float(remaining) <= 0


def _field(name: str, value: Any, now: float) -> float | None:
    """A field of the body that says how long, or when."""
    if isinstance(value, dict):  # Google's Duration, as an object
        value = value.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value) if isinstance(value, str) or abs(value) < 1e15 else ""
    seconds = _moment(text.strip().lower()[:100], now)
    return seconds / 1000 if seconds is not None and name.endswith("_ms") else seconds


def _sentence(text: str, now: float) -> float | None:
    if found := _WAIT_PHRASE.search(text):
        return _moment(found["wait"].strip(" ,").removesuffix(" and"), now)
    if found := _CLOCK_PHRASE.search(text):
        hours, minutes, seconds = map(float, found.groups())
        return hours * 3600 + minutes * 60 + seconds
    if found := _DATE_PHRASE.search(text):
        zone = (found["zone"] or "z").replace("utc", "z").replace("gmt", "z")
        return _until(f"{found['day']}t{found['time']}{zone}".upper(), now, datetime.fromisoformat)
    return None


def _moment(text: str, now: float) -> float | None:
    """Seconds until the time in a text: a number, a duration, a date or a time since the epoch."""
    if _NUMBER.fullmatch(text):
        return _of_number(float(text), now)
    lower = text.lower()
    if _DURATION.fullmatch(lower):
        return sum(float(number) * _scale(unit) for number, unit in _STEP.findall(lower))
    if re.match(r"[0-9]{4}-", text):
        return _until(text.upper(), now, datetime.fromisoformat)
    return _until(text, now, parsedate_to_datetime)


def _of_number(number: float, now: float) -> float | None:
    """A small number counts seconds; a large one is a time, in seconds or milliseconds."""
    if number < 1e8:
        return number
    return _ahead((number / 1000 if number > 1e11 else number) - now)


def _scale(unit: str) -> float:
    return 0.001 if unit.startswith(("ms", "mil")) else _SCALES[unit[0]]


def _until(text: str, now: float, read: Callable[[str], datetime]) -> float | None:
    try:
        moment = read(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _ahead(moment.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


def _ahead(seconds: float) -> float | None:
    """Whole seconds, so that reading an answer twice gives the same result; None for the past."""
    return float(math.ceil(seconds)) if seconds >= 0 else None
