"""Copies all chats from one store to another: `dls migrate`."""

from __future__ import annotations

from .ends import opened
from .moving import Conflict, Migration, Outcome, Phase

__all__ = ["Conflict", "Migration", "Outcome", "Phase", "opened"]
