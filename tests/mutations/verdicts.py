"""What is known of mutants, kept so that an interrupted run goes on where it stopped.

A verdict holds while the mutated function is the same and the tests that it rests on are: the test
that caught the mutant, or all files of tests that did not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .files import aside, write
from .mutant import Mutant, fingerprint
from .reach import digest_of_test

CAUGHT, TIMED_OUT, SURVIVED, UNFIT, UNREACHED = (
    "caught",
    "timed out",
    "survived",
    "unfit",
    "unreached",
)


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
    """Verdicts by mutant, in a file of lines; each is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Verdict] = {}
        self.trouble = ""
        try:
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                key = entry.pop("mutant")
                self._known[key] = Verdict(**entry)
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            self.trouble = aside(path, error)
            self._rewrite()

    def of(self, mutant: Mutant, tests: Iterable[str]) -> Verdict | None:
        """The verdict, if it still holds.

        Args:
            mutant: the mutant.
            tests: the ids of those that would run.
        """
        known = self._known.get(mutant.key)
        if known is None or known.function != fingerprint(mutant):
            return None
        resting = [known.by] if known.good else tests
        return known if known.evidence == evidence(resting) else None

    def keep(self, mutant: Mutant, verdict: Verdict) -> None:
        """Remember a verdict, on the disk as well."""
        self._known[mutant.key] = verdict
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"mutant": mutant.key, **asdict(verdict)}) + "\n")

    def _rewrite(self) -> None:
        lines = [json.dumps({"mutant": key, **asdict(each)}) for key, each in self._known.items()]
        write(self._path, "".join(f"{line}\n" for line in lines).encode())


def evidence(tests: Iterable[str]) -> str:
    """The fingerprint of files of tests."""
    files = sorted({name.partition("::")[0] for name in tests})
    return hashlib.sha256("".join(map(digest_of_test, files)).encode()).hexdigest()[:16]
