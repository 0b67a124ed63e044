"""`dls doctor` as a user without rights.

python -m tests.doctor_without_rights
"""

from __future__ import annotations

import asyncio
import os
import sys

from rich.console import Console

from durable_llm_streams.cli.doctor import doctor
from tests.sqlite_opener import NOBODY

if __name__ == "__main__":
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    sys.exit(0 if asyncio.run(doctor(Console(width=1000))) else 1)
