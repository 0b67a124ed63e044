"""The runner of the page's mutants: what it counts, keeps and refuses. No mutant is run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatch_build import BuildError

from . import __main__ as runner
from .results import (
    DamagedFile,
    Equivalent,
    Mutant,
    Tally,
    keep,
    read_equivalents,
    read_report,
    total,
)

SOURCE = "const a =\n  first();\n  return a > 1;\n"


def at(status: str, start: tuple[int, int], end: tuple[int, int], by: str) -> dict[str, object]:
    """A mutant as Stryker reports it."""
    places = [{"line": line, "column": column} for line, column in (start, end)]
    return {
        "status": status,
        "replacement": by,
        "location": {"start": places[0], "end": places[1]},
    }


def write_report(path: Path, *mutants: dict[str, object]) -> Path:
    path.write_text(
        json.dumps({"files": {"src/state/a.ts": {"source": SOURCE, "mutants": mutants}}})
    )
    return path


def test_a_report_is_counted_without_what_is_known_to_be_equivalent(tmp_path: Path) -> None:
    report = write_report(
        tmp_path / "report.json",
        at("Killed", (1, 1), (1, 6), "let"),
        at("Timeout", (1, 1), (1, 6), "var"),
        at("RuntimeError", (1, 1), (1, 6), ""),
        at("Survived", (1, 7), (2, 10), "b = second()"),
        at("NoCoverage", (3, 10), (3, 15), "true"),
        at("Ignored", (3, 10), (3, 15), "false"),
    )
    over_lines = Mutant("state/a.ts", "const a =", "a =\n  first()", "b = second()")
    condition = Mutant("state/a.ts", "return a > 1;", "a > 1", "true")
    found = read_report(report, [])
    assert found.survivors == [over_lines, condition]
    assert found.tallies == {"state/a.ts": Tally(5, 3, 1, 0, 2)}
    found = read_report(report, [Equivalent(condition, "why")])
    assert found.survivors == [over_lines]
    assert found.tallies == {"state/a.ts": Tally(5, 3, 1, 1, 1)}
    assert found.tallies["state/a.ts"].score == 75.0
    assert found.needless == []
    gone = Equivalent(Mutant("state/a.ts", "gone", "gone", ""), "why")
    of_elsewhere = Equivalent(Mutant("state/b.ts", "gone", "gone", ""), "why")
    assert read_report(report, [gone, of_elsewhere]).needless == [gone.mutant]
    assert str(over_lines) == "state/a.ts: const a =\n    a = first()  ->  b = second()"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": {"mutants": [{}]}}}'])
def test_a_damaged_report_is_one_clear_sentence(text: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(text)
    with pytest.raises(DamagedFile, match=r"Stryker's report .*report\.json cannot be read"):
        read_report(report, [])


def test_figures_are_kept_per_file_and_summed_per_room(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    keep({"state/a.ts": Tally(4, 1, 0, 0, 3), "state/gone.ts": Tally(9)}, {"state/a.ts"}, path)
    both = {"state/a.ts", "state/b.ts", "transport/c.ts"}
    keep({"state/b.ts": Tally(4, 4, 1, 0, 0), "transport/c.ts": Tally(2, 2)}, both, path)
    results = keep({"state/a.ts": Tally(4, 2, 0, 2, 0)}, both, path)
    assert results.rooms["state"].total == Tally(8, 6, 1, 2, 0)
    assert results.rooms["state"].score == 100.0
    assert sorted(results.rooms["state"].files) == ["state/a.ts", "state/b.ts"]
    assert keep({}, both, path) == results, "what was written is not what is read again"


def test_damaged_results_are_moved_aside_and_said(tmp_path: Path) -> None:
    path = tmp_path / "results-web.json"
    path.write_text('{"rooms": 1')
    with pytest.raises(DamagedFile, match=r"results-web\.json is damaged .* Run this again\."):
        keep({}, set(), path)
    assert (tmp_path / "results-web.damaged.json").read_text() == '{"rooms": 1'
    assert keep({"state/a.ts": Tally(1, 1)}, {"state/a.ts"}, path).rooms["state"].score == 100.0


def test_no_mutants_are_a_full_score() -> None:
    assert total([]) == Tally()
    assert total([]).score == 100.0


def test_each_entry_of_the_reviewed_list_has_a_reason() -> None:
    entries = read_equivalents()
    for entry in entries:
        assert len(entry.because) > 10, f"{entry.mutant}\nhas no reason: {entry.because!r}"
    assert len({entry.mutant for entry in entries}) == len(entries), "an entry is there twice"


def test_a_damaged_list_is_one_clear_sentence(tmp_path: Path) -> None:
    path = tmp_path / "equivalent.json"
    path.write_text('[{"because": "x"}]')
    with pytest.raises(DamagedFile, match=r"equivalent\.json cannot be read: .*mutant"):
        read_equivalents(path)


def test_a_machine_without_node_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> list[str]:
        raise BuildError("Node.js 22 or newer is needed. Install it.")

    monkeypatch.setattr(runner, "tool", missing)
    assert runner.main(["--room", "state"]) == 1
    assert capsys.readouterr().err == "Node.js 22 or newer is needed. Install it.\n"


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["--file", "state/cut.test.ts"])
    assert "no such file below web/src: state/cut.test.ts" in capsys.readouterr().err


def test_the_tests_meet_the_packages_of_the_interface(tmp_path: Path) -> None:
    runner.see_same_versions()
    package = {"devDependencies": {"vitest": "1.0.0", "other": "1"}}
    (tmp_path / "package.json").write_text(json.dumps(package))
    with pytest.raises(runner.ToolFailed, match="name different versions of vitest"):
        runner.see_same_versions(here=tmp_path)


def test_the_lock_names_no_hosts() -> None:
    lock = json.loads((runner.HERE / "package-lock.json").read_text())
    named = [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert named == []
