"""What an answer has used of its reservation. No I/O.

Each request to the model has reserved what it may cost at most. At the end, what the provider says
that it used takes the place of that. A request of which nothing is known, such as one that was cut,
keeps what it has reserved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Charge, Run

#: The kind of charges that are dollars; all others are tokens.
COST = "cost"


def settlement(run: Run, fold: Fold) -> tuple[Charge, ...]:
    """The charges that settle the reservation of a run, for `Ending.charges`.

    Args:
        run: with what it has reserved, and how often.
        fold: of the whole log, its end included.
    """
    if not run.charges:
        return ()
    known = [each for each in _requests(fold) if _tokens(each) is not None]
    settled = min(len(known), run.reservations)
    charges = []
    for charge in run.charges:
        used = sum(_used(charge.kind, each) for each in known)
        if (cost := used - settled * charge.cost) != 0:
            charges.append(structs.replace(charge, cost=cost))
    return tuple(charges)


def _requests(fold: Fold) -> list[Mapping[str, Any]]:
    """One entry for each request to the model, with its usage and cost where they are known."""
    metadata = fold.metadata or {}
    ladder: list[Mapping[str, Any]] = metadata.get("ladder", [metadata])
    return ladder


def _used(kind: str, request: Mapping[str, Any]) -> float:
    if kind == COST:
        cost = request.get("cost", 0)
        return cost if isinstance(cost, int | float) else 0
    return _tokens(request) or 0


def _tokens(request: Mapping[str, Any]) -> int | None:
    """The tokens that a request has used, if that is known."""
    usage = request.get("usage") or {}
    total = usage.get("totalTokens")
    if total is None and "inputTokens" in usage and "outputTokens" in usage:
        total = usage["inputTokens"] + usage["outputTokens"]
    return total if isinstance(total, int) else None
