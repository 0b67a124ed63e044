"""What every backend promises: one suite, run against each of them.

A backend's test module has a fixture `stores` that yields a `StoreFactory`, and

    class TestContract(StoreContract):
        pass
"""

from __future__ import annotations

from pathlib import Path

import pytest

for module in Path(__file__).parent.glob("*.py"):
    if module.stem != "__init__":
        pytest.register_assert_rewrite(f"{__name__}.{module.stem}")

from .append import AppendContract  # noqa: E402
from .chats import ChatsContract  # noqa: E402
from .claim import ClaimContract  # noqa: E402
from .clock import ClockContract  # noqa: E402
from .end import EndContract  # noqa: E402
from .feed import FeedContract  # noqa: E402
from .harness import StoreFactory, Talk  # noqa: E402
from .keep import KeepContract  # noqa: E402
from .limits import LimitsContract  # noqa: E402
from .machine import compare_with_model  # noqa: E402
from .owners import OwnersContract  # noqa: E402
from .read import ReadContract  # noqa: E402
from .runs import RunsContract  # noqa: E402
from .send import SendContract  # noqa: E402
from .turns import TurnsContract  # noqa: E402
from .visitors import VisitorsContract  # noqa: E402

__all__ = [
    "LimitsContract",
    "StoreContract",
    "StoreFactory",
    "TurnsContract",
    "compare_with_model",
]


class StoreContract(
    AppendContract,
    EndContract,
    ReadContract,
    SendContract,
    ClaimContract,
    RunsContract,
    ChatsContract,
    OwnersContract,
    FeedContract,
    KeepContract,
    ClockContract,
    VisitorsContract,
):
    """Every sentence of the Store contract."""

    @pytest.fixture
    async def talk(self, stores: StoreFactory) -> Talk:
        return Talk(stores, await stores.open())
