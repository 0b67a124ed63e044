"""Every operation's test has its own name: a parallel run reports only one of equal names."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    label = getattr(item, "operation_label", None)  # of schemathesis
    if label is not None and item.id.params is None:
        item._id = item.id.with_params(label)
