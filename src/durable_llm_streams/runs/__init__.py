"""Runs: claim, heartbeat, execute, take over, stop, hand over."""

from .limits import Limits
from .worker import Worker

__all__ = ["Limits", "Worker"]
