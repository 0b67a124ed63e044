"""Every operation's test has a name of its own: by equal ones, a parallel run tells one of them."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    label = getattr(item, "operation_label", None)  # of schemathesis
    if label is not None and item.id.params is None:
        item._id = item.id.with_params(label)
