"""Mutants that change nothing that anybody can see. Each was read, and has its reason.

The key is the function and the change, as `make mutants` names a survivor. So an entry holds
wherever the line goes, and no longer than the statement is the same.
"""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_REASONS: Final[dict[str, str]] = {}


def reason_of(mutant: Mutant) -> str:
    """Why a mutant cannot be caught; "" where it can."""
    return _REASONS.get(mutant.key.removesuffix(f" ({mutant.number})"), "")
