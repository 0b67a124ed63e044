"""Writes the table of evidence in `docs/guarantees.md`: `python -m tests.guarantees`.

It stands between markers and comes from the results that the campaigns keep.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.contract import StoreContract
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guarantees.md"


class Campaign(NamedTuple):
    """A command whose results are kept, and their files, as a glob from the repository's root.

    A result is `{"counts": {WHAT: NUMBER}}` or `{"rooms": {ROOM: {"mutants": NUMBER, "score":
    PERCENT}}}`. It may name the command that made it, with its options, as `command`.
    """

    command: str
    results: str


CAMPAIGNS = (
    Campaign("make hunt", "tests/simulation/results/*.json"),
    Campaign("make crash", "tests/crash/results/*.json"),
    Campaign("make mutants", "tools/mutants/results.json"),
)


def evidence_table(root: Path = ROOT) -> str:
    """One row for each result that a campaign has kept, and for what `make test` runs.

    Raises:
        ValueError: A file is damaged; the error is a sentence that says which and what to do.
    """
    rows = [row for campaign in CAMPAIGNS for row in _rows(root, campaign)]
    contract = sum(name.startswith("test_") for name in dir(StoreContract))
    inputs = sum(path.is_file() for path in (root / "tests/fuzz/corpus").rglob("*"))
    rows += [
        ("make test", f"at least {contract // 10 * 10} contract tests for each kind of store"),
        ("make fuzz", f"{len(TARGETS)} targets, at least {inputs // 10 * 10} kept inputs"),
    ]
    return "\n".join(
        ["| Command | Last kept result |", "| --- | --- |", *(f"| `{c}` | {r} |" for c, r in rows)]
    )


def _rows(root: Path, campaign: Campaign) -> Iterator[tuple[str, str]]:
    paths = sorted(root.glob(campaign.results))
    if not paths:
        yield campaign.command, "No result is kept."
    for path in paths:
        try:
            result = json.loads(path.read_text())
            yield result.get("command", campaign.command), ", ".join(_figures(result))
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            name = path.relative_to(root)
            raise ValueError(
                f"{name} is damaged ({error!r}). Make it again: {campaign.command}."
            ) from error


def _figures(result: dict[str, Any]) -> Iterator[str]:
    if "rooms" in result:
        for room, figures in result["rooms"].items():
            yield f"{room} {figures['score']:.1f} % of {figures['mutants']:,}"
    else:
        for what, number in result["counts"].items():
            yield f"{number:,} {what}"


def generate(page: str, root: Path = ROOT) -> str:
    """The page with a new table.

    Raises:
        ValueError: A marker or a result is missing or damaged.
    """
    before, marker, rest = page.partition("<!-- evidence -->\n")
    _, end, after = rest.partition("<!-- /evidence -->\n")
    if not end:
        raise ValueError("The page has no markers of evidence on lines of their own.")
    return f"{before}{marker}\n{evidence_table(root)}\n\n{end}{after}"


def main() -> int:
    try:
        PAGE.write_text(generate(PAGE.read_text()))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
