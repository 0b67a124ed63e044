"""The list of defects, by the part of the product that they are in."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from tests.mutations.defect import Defect

from .in_logs import IN_LOGS
from .in_redis import IN_REDIS
from .in_runs import IN_RUNS
from .in_server import IN_SERVER
from .in_sqlite import IN_SQLITE
from .in_workers import IN_WORKERS

#: All of them, by id.
DEFECTS: Final[Mapping[str, Defect]] = {
    defect.id: defect
    for defect in chain(IN_SQLITE, IN_REDIS, IN_LOGS, IN_RUNS, IN_WORKERS, IN_SERVER)
}
