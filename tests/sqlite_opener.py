"""Opens a store as a user without rights and prints the error.

python -m tests.sqlite_opener PATH
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from durable_llm_streams.errors import StoreError
from durable_llm_streams.stores.sqlite import SQLiteStore

NOBODY = 65534

if __name__ == "__main__":
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        SQLiteStore(Path(sys.argv[1]))
    except StoreError as error:
        print(f"{type(error).__name__}: {error}")
