"""The list of defects is sound, and some of them are caught in every run of the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .catching import Unsound, by_tests, by_the_simulator, see_that_it_is_used
from .defect import PACKAGE, ROOT, SOURCES, AnchorMoved, Defect, copy_sources, plant
from .defects import DEFECTS

#: The least that are planted, and the least that the simulator must have a look at.
_LEAST = 25
_LEAST_SIMULATED = 20

#: Caught within a few histories, one of each kind: a fence, a repetition, a stop, an end, a cursor.
_EVERY_TIME = (
    "redis-second-claim",
    "sqlite-append-not-idempotent",
    "stop-only-signals",
    "end-in-two-steps",
    "merged-under-the-first-id",
)

#: Processes are started and waited for: that takes its time where the machine has others to serve.
patient = pytest.mark.timeout(900)
every_defect = pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("sound"))


@every_defect
def test_a_defect_fits_the_code_and_leaves_code_that_can_be_read(defect: Defect) -> None:
    text = defect.mutated()
    assert text != (SOURCES / defect.file).read_text()
    if defect.file.endswith(".py"):
        ast.parse(text)
    else:
        lua51 = pytest.importorskip("lupa.lua51")
        lua51.LuaRuntime().compile("--" + text.removeprefix("#!"))


@every_defect
def test_the_tests_that_a_defect_names_are_there(defect: Defect) -> None:
    for test in defect.tests:
        path, _, names = test.partition("::")
        assert (ROOT / path).is_file()
        assert all(name in _names_in(ROOT / path) for name in names.split("::") if name)


def test_there_are_enough_defects_of_many_kinds() -> None:
    assert len(DEFECTS) >= _LEAST
    assert sum(bool(defect.stores) for defect in DEFECTS.values()) >= _LEAST_SIMULATED
    assert len({promise for defect in DEFECTS.values() for promise in defect.breaks}) >= 12


def test_an_anchor_that_has_moved_is_told(sound: Path, tmp_path: Path) -> None:
    defect = Defect(
        id="moved",
        slip="Nothing.",
        breaks=("prefix",),
        file="log/writer.py",
        diff="-this was never there",
    )
    with pytest.raises(AnchorMoved, match=r"moved: .* log/writer\.py exactly once, but .* 0 times"):
        plant(defect, sound, tmp_path)


def test_a_copy_has_one_changed_file_and_is_the_one_that_is_used(
    sound: Path, tmp_path: Path
) -> None:
    defect = DEFECTS["redis-append-unfenced"]
    whole = plant(defect, sound, tmp_path / "defective")
    see_that_it_is_used(whole)
    changed = [path for path in _files(whole / PACKAGE) if not _same(path, whole, sound)]
    assert changed == [whole / PACKAGE / defect.file]
    assert {p.relative_to(whole) for p in _files(whole)} == {
        p.relative_to(sound) for p in _files(sound)
    }


@patient
def test_a_package_that_is_not_used_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsound, match="Python takes the package from"):
        see_that_it_is_used(tmp_path)
    with pytest.raises(Unsound, match="is not in"):
        by_tests(tmp_path, ["tests/test_chunks.py"])


@patient
def test_tests_that_cannot_be_run_prove_nothing(sound: Path) -> None:
    with pytest.raises(Unsound, match="pytest ended with"):
        by_tests(sound, ["tests/test_chunks.py::test_that_nobody_has_written"])


@patient
def test_a_defect_is_caught_by_the_tests_that_it_names(sound: Path, tmp_path: Path) -> None:
    defect = DEFECTS["merged-over-parts"]
    assert by_tests(sound, defect.tests) is None
    catch = by_tests(plant(defect, sound, tmp_path / "defective"), defect.tests)
    assert catch is not None
    assert catch.by.startswith("test_chunks.py::")


@patient
@pytest.mark.parametrize("name", _EVERY_TIME)
def test_the_simulator_catches_it(sound: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("lupa.lua51")
    defect = DEFECTS[name]
    catch = by_the_simulator(plant(defect, sound, tmp_path / "defective"), defect.stores, 100)
    assert catch is not None
    assert catch.promise != "unexpected"


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path)
        elif path.suffix != ".pyc":
            yield path


def _same(path: Path, whole: Path, sound: Path) -> bool:
    return path.read_bytes() == (sound / path.relative_to(whole)).read_bytes()


def _names_in(path: Path) -> set[str]:
    """The functions and classes of a module, those of the contract that it inherits included."""
    paths = [path, *(ROOT / "tests" / "contract").glob("*.py")]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    trees = [ast.parse(each.read_text()) for each in paths]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}
