"""The fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

Both are lists of structured fields (RFC 9651): a policy's name as a string, with integers. `q` is
the limit, `w` its period in seconds, `r` what is left. `t` is the seconds until the limit is whole
again, in a refusal until it allows the request. Dollars are no integers and are left out. What is
left of the budget of all owners is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, floor

from durable_llm_streams.errors import LimitReached
from durable_llm_streams.model import Level

#: The fields of refusals, for OpenAPI.
DESCRIBED = {
    "Retry-After": {
        "description": "Seconds until it is allowed; absent if it never is.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {"description": "The limit.", "schema": {"type": "string"}},
    "RateLimit": {"description": "What is left of it.", "schema": {"type": "string"}},
}


_REPORTED = frozenset({"messages", "tokens"})


def left(levels: Iterable[Level]) -> dict[str, str]:
    """The fields of a response to what was accepted."""
    reported = [level for level in levels if level.kind in _REPORTED]
    if not reported:
        return {}
    policies = [f'"{each.kind}";q={each.limit:.0f};w={each.period:.0f}' for each in reported]
    states = [
        f'"{each.kind}";r={floor(each.remaining)};t={ceil(each.full_after)}' for each in reported
    ]
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(states)}


def refused(error: LimitReached) -> dict[str, str]:
    """The fields of a response to what was refused."""
    fields = {}
    if error.kind in _REPORTED:
        fields["ratelimit-policy"] = f'"{error.kind}";q={error.limit:.0f}'
        fields["ratelimit"] = f'"{error.kind}";r=0'
    if error.retry_after is not None:
        seconds = max(1, ceil(error.retry_after))
        fields["retry-after"] = str(seconds)
        if error.kind in _REPORTED:
            fields["ratelimit"] += f";t={seconds}"
    return fields
