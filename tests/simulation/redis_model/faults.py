"""What may happen to a command, or to a connection that is being opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

#: What a connection is for: it is being opened, it carries calls, it receives messages.
Use = Literal["dial", "calls", "messages"]


class Fault(NamedTuple):
    """One mishap. The functions below make them.

    Attributes:
        kind: which.
        seconds: how long, where it is about time.
        text: what Redis says, where it says something.
    """

    kind: Literal["lose-request", "lose-reply", "delay", "stall", "error", "refuse"]
    seconds: float = 0.0
    text: bytes = b""


def lose_request() -> Fault:
    """The connection breaks when the command should arrive: it is not executed."""
    return Fault("lose-request")


def lose_reply() -> Fault:
    """The command is executed; the connection breaks when its reply should come."""
    return Fault("lose-reply")


def delay(seconds: float) -> Fault:
    """The command is on its way for longer, and what is sent after it waits behind it."""
    return Fault("delay", seconds)


def stall(seconds: float) -> Fault:
    """The command arrives in time, so nothing can stop it, but is executed later."""
    return Fault("stall", seconds)


def error(text: bytes) -> Fault:
    """Redis refuses the command with an error, such as `OOM command not allowed …`."""
    return Fault("error", text=text)


def refuse() -> Fault:
    """The connection cannot be opened."""
    return Fault("refuse")


#: Asked for each command, and for each connection that is opened, what happens to it: given the
#: process's name, what the connection is for, the name of the script or the command (`DIAL` for a
#: connection) and the how many-th command of the process this is, counted from 1.
Happens = Callable[[str, Use, str, int], Fault | None]
