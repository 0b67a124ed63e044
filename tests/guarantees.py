"""Writes the generated parts of `docs/guarantees.md`: `python -m tests.guarantees`.

They stand between markers, `<!-- NAME -->` and `<!-- /NAME -->`; the rest of the page is left as it
is. The promises come from `tests/promises.py`, what tries to break them from the marks on tests,
the counts from the files that campaigns leave.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.promise_marks import Bound, Kind, bound_tests
from tests.promises import PROMISES, Promise

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guarantees.md"

NOTHING_COUNTED = "No campaign's results are kept with this version; these commands make them."


class Figure(NamedTuple):
    """A line of the table of counts: what was counted, and how much of it."""

    what: str
    much: str


def counts(result: dict[str, Any]) -> Iterator[Figure]:
    """What the campaigns leave: `{"counts": {WHAT: NUMBER, ...}}`, other keys beside it."""
    for what, number in result["counts"].items():
        yield Figure(what, f"{number:,}")


def figures(result: dict[str, Any]) -> Iterator[Figure]:
    """What the benchmarks leave: `outcome.figures`, each with a value for each round."""
    for figure in result["outcome"]["figures"]:
        low, high = min(figure["values"]), max(figure["values"])
        spread = f"{low:,.4g}" if low == high else f"{low:,.4g} to {high:,.4g}"
        yield Figure(figure["name"], f"{spread} {figure['unit']}".rstrip())


class Campaign(NamedTuple):
    """A command and the files with what came out, as a glob from the repository's root.

    A file may name its own command, with the options that it was made with, as `command`.
    """

    command: str
    results: str
    render: Callable[[dict[str, Any]], Iterable[Figure]]


CAMPAIGNS = (
    Campaign("make hunt", "tests/simulation/results/campaign.json", counts),
    Campaign("make crash", "tests/crash/results/*.json", counts),
    Campaign("make mutants", "tests/mutations/results.json", counts),
    Campaign("make bench ARGS=rolling", "bench/results/latest/rolling.json", figures),
)


def promise_table(bound: Iterable[Bound]) -> str:
    """One row for each promise: what it says, how it is kept, which tests try to break it."""
    tests = list(bound)
    lines = ["| Promise | How it is kept | How it is tried to be broken |", "| --- | --- | --- |"]
    for promise in PROMISES.values():
        name = f"**{promise.title}** (`{promise.id}`). {promise.sentence}"
        lines.append(f"| {name} | {promise.kept} | {_attempts(promise, tests)} |")
    return "\n".join(lines)


def kind_table() -> str:
    """One row for each kind of test."""
    lines = ["| Kind | What it is |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {kind.label} | {kind.meaning} |" for kind in Kind)])


def count_table(root: Path = ROOT) -> str:
    """One row for each figure that a campaign has left.

    Raises:
        ValueError: A file holds something else than its campaign writes.
    """
    rows = [
        f"| `{command}` | {figure.what} | {figure.much} |"
        for campaign in CAMPAIGNS
        for path in sorted(root.glob(campaign.results))
        for command, figures in (_read(path, campaign),)
        for figure in figures
    ]
    if not rows:
        return NOTHING_COUNTED
    return "\n".join(["| Command | What | Count |", "| --- | --- | --- |", *rows])


def generate(page: str, root: Path = ROOT) -> str:
    """The page with its generated parts made anew."""
    parts = {
        "promises": promise_table(bound_tests()),
        "kinds": kind_table(),
        "counts": count_table(root),
    }
    for name, text in parts.items():
        before, marker, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
        if not end:
            raise ValueError(f"The page has no markers of {name} on lines of their own.")
        page = f"{before}{marker}{text}\n{end}{after}"
    return page


def _attempts(promise: Promise, tests: list[Bound]) -> str:
    own = [test for test in tests if promise.id in test.promises]
    said = [f"Not yet: {promise.missing}."] if promise.missing else []
    for kind in Kind:
        paths = sorted({test.path for test in own if test.kind is kind})
        if paths:
            said.append(f"{kind.label}: {', '.join(map(_link, paths))}")
    return "<br>".join(said)


def _link(path: str) -> str:
    name = path.removesuffix(".py").replace("test_", "", 1)
    return f"[{name}](../tests/{path})"


def _read(path: Path, campaign: Campaign) -> tuple[str, list[Figure]]:
    try:
        result = json.loads(path.read_text())
        return result.get("command", campaign.command), list(campaign.render(result))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{path} is not what `{campaign.command}` writes: {error!r}") from error


def main() -> int:
    PAGE.write_text(generate(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
