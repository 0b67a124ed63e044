"""Every promise has tests that try to break it, and every test names promises that there are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guarantees import NOTHING_COUNTED, PAGE, count_table, generate
from tests.promise_marks import Bound, Kind, bound_tests, stray_marks
from tests.promises import PROMISES, Promise

ROOT = Path(__file__).parents[1]
SECONDS = 110

#: What breaks a promise only as one part of the program by itself.
SMALL = {Kind.EXAMPLES, Kind.FUZZ}


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, and what it printed."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def binding(promise: str) -> list[Bound]:
    return [bound for bound in bound_tests() if promise in bound.promises]


def anchor(heading: str) -> str:
    """The address of a heading in its page."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


# --- the list ----------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", PROMISES.values(), ids=lambda promise: promise.id)
def test_a_promise_is_a_sentence_and_is_made_where_it_says(promise: Promise) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", promise.id)
    for text in (promise.sentence, promise.kept):
        assert text[0].isupper() or text[0] == "`"
        assert text.endswith(".")
    assert promise.promised
    for place in promise.promised:
        page, _, heading = place.partition("#")
        headings = re.findall(r"^#+ (.+)", (ROOT / page).read_text(), re.MULTILINE)
        assert heading in map(anchor, headings), place


def test_every_promise_of_the_readme_is_in_the_list() -> None:
    listed = (ROOT / "README.md").read_text().partition("## What it promises")[2]
    numbered = re.findall(r"^\d+\. \*\*(.+?)\.\*\*", listed, re.MULTILINE)
    assert len(numbered) >= 8
    places = {promise.title: promise.promised for promise in PROMISES.values()}
    for title in numbered:
        assert "README.md#what-it-promises" in places[title]


def test_ids_and_titles_are_given_once() -> None:
    titles = [promise.title for promise in PROMISES.values()]
    assert len(set(titles)) == len(titles) == len(PROMISES)


def test_every_file_that_a_promise_names_is_there() -> None:
    package = ROOT / "src" / "durable_llm_streams"
    for promise in PROMISES.values():
        for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", promise.kept):
            assert (package / name).exists() or (ROOT / name).exists(), (promise.id, name)


# --- the tests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_a_test_that_tries_to_break_it_as_it_is_used(promise: str) -> None:
    kinds = {bound.kind for bound in binding(promise)}
    assert kinds - SMALL or PROMISES[promise].missing


def test_every_test_names_promises_that_there_are() -> None:
    unknown = {
        f"{bound.path}: {bound.name}": names
        for bound in bound_tests()
        if (names := bound.promises - PROMISES.keys())
    }
    assert unknown == {}


def test_no_mark_binds_nothing() -> None:
    assert stray_marks() == [], "decorate a test, or set `pytestmark` in a module of tests"


@pytest.mark.timeout(SECONDS + 10)
def test_what_the_sources_say_is_what_pytest_finds() -> None:
    ended = run("tests.collected", "-o", "addopts=--strict-markers")
    told, _, last = ended.stdout.rstrip().rpartition("\n")
    assert ended.returncode == 0, told + ended.stderr
    found = json.loads(last)
    left_out = set(found["left_out"])
    collected = {(path, name, *names) for path, name, names in found["bound"]}
    written = {
        (bound.path, bound.name, *sorted(bound.promises))
        for bound in bound_tests()
        if bound.path not in left_out
    }
    assert written == collected


# --- pytest's option and its errors --------------------------------------------------------------

MODULE = """
import pytest

@pytest.mark.promise("fencing", "stop")
def test_one(): pass

@pytest.mark.promise("stop")
class TestMany:
    def test_two(self): pass

    @pytest.mark.promise("owned")
    def test_three(self): pass

def test_four(): pass
"""


def collect(folder: Path, module: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What pytest, with the conftest of these tests, says of a module."""
    (folder / "test_it.py").write_text(module)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    plugin = ("--disable-plugin-autoload", "-p", "tests.conftest", "-p", "no:cacheprovider")
    return run("pytest", *plugin, f"--rootdir={folder}", "-c", f"{folder}/pytest.ini", "-q",
               "--collect-only", *options, str(folder))  # fmt: skip


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--promise", "fencing"], {"one"}),
        (["--promise=stop"], {"one", "two", "three"}),
        (["--promise", "fencing", "--promise", "owned"], {"one", "three"}),
        (["--promise", "stop", "-k", "Many"], {"two", "three"}),
        ([], {"one", "two", "three", "four"}),
    ],
)
def test_the_tests_of_a_promise_can_be_chosen(
    options: list[str], chosen: set[str], tmp_path: Path
) -> None:
    ended = collect(tmp_path, MODULE, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(re.findall(r"::test_(\w+)$", ended.stdout, re.MULTILINE)) == chosen


def test_an_unknown_promise_cannot_be_chosen(tmp_path: Path) -> None:
    ended = collect(tmp_path, MODULE, "--promise", "fencinng")
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "fencinng" in ended.stderr
    assert "one-clean-answer" in ended.stderr


@pytest.mark.parametrize("arguments", ['"fencinng"', '"fencing", "stops"', "", "7"])
def test_a_mark_that_names_no_promise_is_an_error_that_lists_them(
    arguments: str, tmp_path: Path
) -> None:
    module = f"import pytest\n@pytest.mark.promise({arguments})\ndef test_it(): pass\n"
    ended = collect(tmp_path, module)
    assert ended.returncode == pytest.ExitCode.INTERRUPTED
    assert re.search(r"test_it\.py::test_it names a promise: ", ended.stdout)
    assert "one-clean-answer" in ended.stdout


def test_marks_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(MODULE)
    (tmp_path / "test_all.py").write_text(
        "import pytest\n"
        'pytestmark = [pytest.mark.timeout(9), pytest.mark.promise("feed")]\n'
        '@pytest.mark.promise("owned")\n'
        "async def test_it(): pass\n"
        "def helper(): pass\n"
    )
    assert {(bound.path, bound.name): set(bound.promises) for bound in bound_tests(tmp_path)} == {
        ("test_all.py", "test_it"): {"feed", "owned"},
        ("test_it.py", "test_one"): {"fencing", "stop"},
        ("test_it.py", "test_two"): {"stop"},
        ("test_it.py", "test_three"): {"stop", "owned"},
    }
    assert stray_marks(tmp_path) == []


@pytest.mark.parametrize(
    "module",
    [
        'import pytest\npytest_mark = pytest.mark.promise("stop")\ndef test_it(): pass\n',
        'import pytest\n@pytest.mark.promise("stop")\ndef helper(): pass\n',
        'import pytest\n@pytest.mark.promise("stop")\nclass Suite:\n    def test_it(self): pass\n',
        "import pytest\n@pytest.mark.promise\ndef test_it(): pass\n",
    ],
)
def test_a_mark_in_a_place_where_it_binds_nothing_is_found(module: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(module)
    assert len(stray_marks(tmp_path)) == 1
    assert bound_tests(tmp_path) == ()


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("from tests.processes import serving\n", Kind.EXAMPLES),
        ("from tests.processes import serving\ndef helper(): serving()\n", Kind.PROCESSES),
        ("from .run_world import World\ndef helper(world): World()\n", Kind.VIRTUAL),
        ("from tests.app import App\nhelper = App\n", Kind.SERVER),
        ("from hypothesis import given\nfrom tests.app import App\nhelper = App\n", Kind.SERVER),
    ],
)
def test_the_kind_of_a_test_is_what_it_is_built_with(
    module: str, kind: Kind, tmp_path: Path
) -> None:
    test = 'import pytest\n@pytest.mark.promise("stop")\ndef test_it(helper): pass\n'
    (tmp_path / "test_it.py").write_text(module + test)
    (bound,) = bound_tests(tmp_path)
    assert bound.kind is kind


def save(path: Path, result: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))


# --- the page ----------------------------------------------------------------------------------


def test_the_page_says_what_the_list_and_the_marks_say() -> None:
    assert PAGE.read_text() == generate(PAGE.read_text()), "run: python -m tests.guarantees"


def test_a_page_without_a_place_for_the_promises_is_not_written() -> None:
    with pytest.raises(ValueError, match="no markers of kinds"):
        generate("<!-- promises -->\n<!-- /promises -->\n<!-- kinds -->\n<!-- counts -->\n")


def test_what_stands_between_the_markers_is_replaced_and_nothing_else() -> None:
    page = PAGE.read_text()
    spoilt = page.replace("| **Fencing**", "| **Fences**").replace("| browser |", "| a browser |")
    assert spoilt != page
    assert generate(spoilt) == generate(page)


def test_the_results_of_campaigns_are_counted(tmp_path: Path) -> None:
    assert count_table(tmp_path) == NOTHING_COUNTED
    save(tmp_path / "tests/simulation/results/campaign.json", {"counts": {"seeds": 10_000}})
    save(tmp_path / "tests/crash/results/redis.json", {"counts": {"kills": 5}, "command": "…"})
    figure = {"name": "replaced: longest gap", "values": [12.5, 9.0], "unit": "ms"}
    save(tmp_path / "bench/results/latest/rolling.json", {"outcome": {"figures": [figure]}})
    assert count_table(tmp_path).splitlines()[2:] == [
        "| `make hunt` | seeds | 10,000 |",
        "| `…` | kills | 5 |",
        "| `make bench ARGS=rolling` | replaced: longest gap | 9 to 12.5 ms |",
    ]


@pytest.mark.parametrize("result", [[], {}, {"counts": 5}, {"counts": {"seeds": "many"}}])
def test_a_result_of_another_form_is_refused_by_its_name(result: object, tmp_path: Path) -> None:
    save(tmp_path / "tests/mutations/results.json", result)
    with pytest.raises(ValueError, match=r"results\.json is not what `make mutants` writes"):
        count_table(tmp_path)
