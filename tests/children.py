"""Child processes that die with the process that started them, however it dies.

Theory of operation
===================
1. `tied(command)` is the command that a test gives to `subprocess` or `asyncio`. It runs a small
   Python program first, which asks the kernel for SIGKILL at the parent's death (PR_SET_PDEATHSIG)
   and then becomes the command. The process id stays the same. A shell makes what it runs in the
   background ignore SIGINT; that is undone.
2. The parent is the thread that started the child: start children from a thread that lives on.
3. A parent may have died before the kernel was asked. Then the child has another parent already,
   and ends at once.
4. A worker of pytest-xdist is tied to its controller in the same way (`conftest.py`).
5. Only Linux has this. Elsewhere an interrupted run can leave processes behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1

_PROGRAM = f"""
import ctypes, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {int(signal.SIGKILL)})
if os.getppid() != int(sys.argv[1]):
    sys.exit("Its parent has died.")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{{sys.argv[2]}} cannot be started: {{error}}")
"""


def tied(command: Sequence[str | Path]) -> list[str]:
    """The command that runs another one, and kills it when this process has died.

    A program that does not exist is not an error of `Popen`: the child ends with status 1 and says
    why on its standard error.
    """
    words = [str(word) for word in command]
    if sys.platform != "linux":
        return words
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(os.getpid()), *words]


def die_with_parent() -> None:
    """Get SIGKILL when the process that started this one dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
