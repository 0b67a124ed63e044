"""The verdicts on mutants, kept so that an interrupted run resumes where it stopped.

A verdict holds while the mutated function is the same and the tests that it rests on are: the test
that caught the mutant, or all those that did not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from .files import aside, locked, write
from .mutant import Mutant, digest, fingerprint
from .reach import digest_of_test

CAUGHT: Final = "caught"
TIMED_OUT: Final = "timed out"
SURVIVED: Final = "survived"
UNREACHED: Final = "unreached"
UNFIT: Final = "unfit"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        outcome: one of the words above.
        by: the test that caught it, or hung.
        how: what was seen.
        tests: how many ran.
        function: the fingerprint of the function.
        evidence: the fingerprint of the tests that it rests on.
    """

    outcome: str
    by: str
    how: str
    tests: int
    function: str
    evidence: str

    @property
    def good(self) -> bool:
        return self.outcome in (CAUGHT, TIMED_OUT)


class Verdicts:
    """Verdicts by mutant, in a file of lines; each is written at once.

    `trouble` is a sentence if the file was damaged; what stood before the damage is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Verdict] = {}
        self.trouble = ""
        with locked(path):
            try:
                for line in path.read_text().splitlines():
                    entry = json.loads(line)
                    key = entry.pop("mutant")
                    self._known[key] = Verdict(**entry)
            except FileNotFoundError:
                pass
            except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
                self.trouble = aside(path, error)
                write(path, "".join(_line(*each) for each in self._known.items()).encode())

    def of(self, mutant: Mutant, tests: Iterable[str]) -> Verdict | None:
        """The verdict, if it still holds for these tests, by their ids."""
        known = self._known.get(mutant.key)
        if known is None or known.function != fingerprint(mutant):
            return None
        return known if known.evidence == evidence([known.by] if known.good else tests) else None

    def keep(self, mutant: Mutant, verdict: Verdict) -> None:
        """Remember a verdict, on the disk as well."""
        self._known[mutant.key] = verdict
        with self._path.open("a") as file:
            file.write(_line(mutant.key, verdict))


def _line(key: str, verdict: Verdict) -> str:
    return json.dumps({"mutant": key, **asdict(verdict)}) + "\n"


def evidence(tests: Iterable[str]) -> str:
    """The fingerprint of tests: which they are, and the texts of their files."""
    names = sorted(tests)
    files = sorted({name.partition("::")[0] for name in names})
    return digest("\n".join([*names, *map(digest_of_test, files)]).encode())
