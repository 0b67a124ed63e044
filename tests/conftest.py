"""What all tests share: each may say which promises it tries to break (`tests/promises.py`)."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.children import die_with_parent
from tests.failures import (
    parse_one_source_at_a_time,
    pytest_runtest_logreport,
    pytest_terminal_summary,
)
from tests.promises import PROMISES, check_names

__all__ = ["pytest_runtest_logreport", "pytest_terminal_summary"]

#: These take long. They begin first, so that no worker waits for the last of them at the end.
LONG = (
    "tests/test_web_unit.py",
    "tests/simulation/test_hunt.py",
    "tests/test_distributions.py",
    "tests/test_bench.py",
    "tests/http/test_deploy.py",
    "tests/http/test_hand_over.py",
    "tests/browser/",
)


def promises_of(item: pytest.Item) -> set[str]:
    """The ids of the promises that a test tries to break."""
    return {name for mark in item.iter_markers("promise") for name in mark.args}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--promise",
        action="append",
        choices=tuple(PROMISES),
        metavar="ID",
        help="run only the tests that try to break this promise (tests/promises.py lists them)",
    )


def _configure_hypothesis() -> None:
    """No deadlines: a busy machine is slow. And a failure prints its example.

    The plugin of Schemathesis replaces Hypothesis's printer by one that prints nothing.
    """
    from hypothesis import HealthCheck, core, settings
    from hypothesis.vendor.pretty import RepresentationPrinter

    slow = [HealthCheck.too_slow]
    settings.register_profile("patient", deadline=None, suppress_health_check=slow)
    settings.load_profile("patient")
    core.RepresentationPrinter = RepresentationPrinter  # type: ignore[attr-defined]


def pytest_configure(config: pytest.Config) -> None:
    parse_one_source_at_a_time()
    _configure_hypothesis()
    if "PYTEST_XDIST_WORKER" in os.environ:
        die_with_parent()
    config.addinivalue_line(
        "markers", "promise(id, ...): the test tries to break these promises of tests/promises.py"
    )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse a test that names an unknown promise: its module counts as not collected."""
    report = yield
    try:
        for node in report.result or ():
            for mark in node.iter_markers("promise"):
                check_names(mark.args, node.nodeid)
    except ValueError as error:
        report.outcome, report.longrepr, report.result = "failed", str(error), []
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the promises that were asked for with `--promise`; begin with the long."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    asked = set(config.getoption("promise") or ())
    if asked:
        others = [item for item in items if not asked & promises_of(item)]
        items[:] = [item for item in items if asked & promises_of(item)]
        config.hook.pytest_deselected(items=others)
