"""Opens a store, then may write no more to any file, and says what its check says. For tests.

Usage: python -m tests.sqlite_without_room PATH
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.sqlite import SQLiteStore


async def _main(path: Path) -> None:
    store = SQLiteStore(path)
    await store.check()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    store._readiness._written = None  # the next second
    try:
        await store.check()
    except StoreUnavailable as error:
        said = str(error)
    else:
        said = "ready"
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    store._readiness._written = None
    await store.check()
    print(said)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
