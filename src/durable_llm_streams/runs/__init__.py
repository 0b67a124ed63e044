"""Runs: claim, heartbeat, execute, take over, stop, hand over."""

from .limits import Limits
from .source import Event, Finish, Prompt, ReasoningDelta, Source, TextDelta, Turn
from .worker import Worker

__all__ = [
    "Event",
    "Finish",
    "Limits",
    "Prompt",
    "ReasoningDelta",
    "Source",
    "TextDelta",
    "Turn",
    "Worker",
]
