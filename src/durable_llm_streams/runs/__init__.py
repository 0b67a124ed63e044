"""Runs: claim, heartbeat, execute, take over, stop, hand over."""

from .limits import Limits
from .source import (
    Alive,
    Citation,
    ContinuingSource,
    Event,
    File,
    Finish,
    Job,
    JobSource,
    LateThought,
    Prompt,
    ReasoningDelta,
    Source,
    TextDelta,
    Turn,
)
from .worker import Worker

__all__ = [
    "Alive",
    "Citation",
    "ContinuingSource",
    "Event",
    "File",
    "Finish",
    "Job",
    "JobSource",
    "LateThought",
    "Limits",
    "Prompt",
    "ReasoningDelta",
    "Source",
    "TextDelta",
    "Turn",
    "Worker",
]
