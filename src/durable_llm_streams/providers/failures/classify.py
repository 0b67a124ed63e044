"""The meaning of a failure. Pure: evidence in, a key of `MEANINGS` out.

Theory of operation
===================
1. Certain evidence comes first: codes that name one cause. Then wordings, from the special to the
   general. The status decides only if words do not.
2. A status may be wrong: gateways answer 400, 500 or 200 for anything, and wrap the cause. So the
   code nearest to the cause counts, and a word such as `RESOURCE_EXHAUSTED` counts as its status.
3. The text of a web page is ignored; only its status counts.
4. Unknown failures are `broken` or `refused`, by the status.
"""

from __future__ import annotations

import re
from typing import Final

from . import wordings
from .codes import BY_STATUS, CERTAIN, STATUS_WORDS
from .evidence import Evidence
from .refused_fields import broken_role_rule, named_field

_VAGUE: Final = frozenset({0, 200, 400, 403, 422, 500, 502})  # a word may say more than these
_DECIDED: Final = frozenset({401, 402, 407, 429})  # no doubt about the kind
_LEAD: Final = re.compile(
    r"(?:^|\berror code:? |\bstatus(?: code)?:? |\bhttp |\berror )([45][0-9]{2})\b"
)
_PREFILL_FIELDS: Final = ("prefix", "continue_final_message", "add_generation_prompt")


def classify(status: int, found: Evidence, *, continuing: bool = False) -> str:
    """Name the meaning.

    Args:
        status: the HTTP status; 200 or 0 for an error inside an answer.
        found: the evidence in the failure.
        continuing: whether the request continued a partial answer.
    """
    if 300 <= status < 400:
        return "moved"
    if found.form == "page":
        return _by_page(status, found)
    status = true_status(status, found)
    text = found.text
    return (
        _special(status, found, text)
        or _rate(status, found, text)
        or _shape(status, found, text, continuing)
        or _by_code(found)
        or _by_wording(status, found, text)
        or _by_status(status, found, text)
    )


def true_status(status: int, found: Evidence) -> int:
    """The status of the cause, if a gateway wrapped it.

    Args:
        status: the HTTP status; 200 or 0 for an error inside an answer.
        found: the evidence in the failure.
    """
    for code in reversed(found.codes):
        if code != 500 or status in (0, 200):
            status = code
            break
    if status not in _VAGUE:
        return status
    known = [STATUS_WORDS[word] for word in found.words if word in STATUS_WORDS]
    named = next((code for code in reversed(known) if code not in _VAGUE), 0)
    if named:
        return named
    if status in (0, 200, 500):
        lead = _LEAD.search(found.text)
        return known[-1] if known else int(lead[1]) if lead else status
    return status


def _by_page(status: int, found: Evidence) -> str:
    if status == 400 and wordings.WRONG_ADDRESS.search(found.text):
        return "wrong-address"
    return _plain(status)


def _special(status: int, found: Evidence, text: str) -> str:
    """Meanings of wordings that are certain with any status."""
    if wordings.UNVERIFIED.search(text):
        return "unverified"
    if wordings.KEY_LIMIT.search(text):
        return "key-limit"
    if found.moderated and status != 429:
        return "refused-content"
    return "" if status in _DECIDED - {429} else _allowance(status, found, text)


def _allowance(status: int, found: Evidence, text: str) -> str:
    """No credit or quota is left. Google has the same words for a limit of a minute."""
    if not wordings.NO_CREDIT.search(text) and "insufficient_quota" not in found.words:
        return ""
    if status == 429 and _is_google(found, text):
        return ""
    return "no-credit"


def _is_google(found: Evidence, text: str) -> bool:
    return "resource_exhausted" in found.words or "generativelanguage" in text


def _rate(status: int, found: Evidence, text: str) -> str:
    """A rate limit."""
    if status != 429:
        return ""
    if _is_larger_than_limit(text):
        return "too-long"
    if "insufficient_quota" in found.words:
        return "no-credit"
    if _is_google(found, text) and wordings.NO_QUOTA.search(text):
        return "not-allowed"
    return _rate_kind(found, text)


def _rate_kind(found: Evidence, text: str) -> str:
    if wordings.LONG_RATE.search(" ".join([text, *found.words])):
        return "rate-long"
    if wordings.OVERLOADED.search(text) and not wordings.RATE.search(text):
        return "overloaded"
    return "rate-now"


def _is_larger_than_limit(text: str) -> bool:
    """Whether this one request exceeds the limit of a minute."""
    if wordings.LARGER_THAN_LIMIT.search(text):
        return True
    if wordings.TOO_LONG.search(text) and "long context" in text:
        return True
    found = wordings.LIMIT_AND_REQUESTED.search(text)
    return found is not None and int(found[2]) > int(found[1])


def _shape(status: int, found: Evidence, text: str, continuing: bool) -> str:
    """A request with a form that is not accepted: its end, its roles, its fields."""
    if status in _DECIDED or status == 403:
        return ""
    if wordings.PREFILL.search(text) or _has_prefill_field(found):
        return "prefill"
    if wordings.TEMPLATE.search(text):
        return _template(status, found, continuing)
    if status < 500 and broken_role_rule(status, found):
        return "roles"
    if wordings.TOO_MANY_TOKENS.search(text):
        return "unsupported"
    return ""


def _template(status: int, found: Evidence, continuing: bool) -> str:
    if continuing:
        return "prefill"
    return "roles" if broken_role_rule(status, found) else "refused"


def _has_prefill_field(found: Evidence) -> bool:
    return any(path.rpartition(".")[2] in _PREFILL_FIELDS for path in found.extra)


def _by_code(found: Evidence) -> str:
    """The innermost code with one meaning."""
    return next((CERTAIN[word] for word in reversed(found.words) if word in CERTAIN), "")


def _by_wording(status: int, found: Evidence, text: str) -> str:
    if status in _DECIDED:
        return ""
    for meaning, pattern, statuses in _WORDED:
        if status in statuses and pattern.search(text):
            return meaning
    if named_field(status, found) or found.extra:
        return "unsupported"
    for meaning, pattern, statuses in _WORDED_LATER:
        if status in statuses and pattern.search(text):
            return meaning
    return ""


def _by_status(status: int, found: Evidence, text: str) -> str:
    if status in (0, 200, 400, 403, 500, 502) and wordings.RATE.search(text):
        return _rate_kind(found, text)
    if status in (0, 200, 500, 502):
        if wordings.OVERLOADED.search(text):
            return "overloaded"
        if wordings.SLOW.search(text):
            return "slow"
    if status == 404 and found.form == "json" and "model" in text:
        return "no-model"
    if status == 404 and found.is_error and not wordings.WRONG_ADDRESS.search(text):
        return "no-model"
    return _plain(status)


def _plain(status: int) -> str:
    """The meaning of the status alone."""
    if status in (0, 200):
        return "broken"
    if status in BY_STATUS:
        return BY_STATUS[status]
    return "broken" if status >= 500 else "refused"


_ASKED = frozenset({0, 200, 400, 404, 413, 422, 424, 500, 502, 503})
_FORBIDDEN = frozenset({0, 200, 400, 403, 422, 451, 500, 502})
_UNKNOWN = frozenset({0, 200, 400, 403, 404, 410, 422, 500, 501, 502})

# meaning, its words, and the statuses with which they are believed; the first that fits counts
_WORDED: Final = (
    ("refused-content", wordings.REFUSED_CONTENT, _FORBIDDEN),
    ("not-allowed", wordings.NOT_ALLOWED, _FORBIDDEN),
    ("too-long", wordings.TOO_LONG, _ASKED),
)
_WORDED_LATER: Final = (
    ("bad-key", wordings.BAD_KEY, _FORBIDDEN),
    ("no-model", wordings.NO_MODEL, _UNKNOWN),
    ("wrong-address", wordings.WRONG_ADDRESS, frozenset({0, 200, 400, 404, 405})),
)
