"""Moving from one store to another: `dls migrate`."""

from __future__ import annotations

from .ends import Keeping, opened
from .moving import Conflict, Migration, Outcome, Phase

__all__ = ["Conflict", "Keeping", "Migration", "Outcome", "Phase", "opened"]
