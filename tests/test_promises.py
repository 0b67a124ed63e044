"""Every promise has a test that tries to break it, and every test names promises that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guarantees import CAMPAIGNS, PAGE, Campaign, evidence_table, generate
from tests.promises import PROMISES, Promise, check_names

ROOT = Path(__file__).parents[1]

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
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "tests.conftest"),
        *("--disable-plugin-autoload", "-p", "no:cacheprovider", f"--rootdir={folder}"),
        *("-c", f"{folder}/pytest.ini", *options, str(folder)),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


# --- the list ----------------------------------------------------------------------------------


#: The page's sections, each on one line.
SECTIONS = {
    title: " ".join(text.split())
    for title, text in re.findall(r"^### (.+)\n((?:(?!#).*\n)*)", PAGE.read_text(), re.MULTILINE)
}


def anchor(heading: str) -> str:
    """The address of a heading in its page."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("promise", PROMISES.values(), ids=lambda promise: promise.id)
def test_a_promise_is_made_in_the_docs_and_kept_by_code_that_exists(promise: Promise) -> None:
    assert promise.promised, "a promise names a place in the documentation"
    for place in promise.promised:
        page, _, heading = place.partition("#")
        headings = re.findall(r"^#+ (.+)", (ROOT / page).read_text(), re.MULTILINE)
        assert heading in map(anchor, headings), f"{page} has no heading for #{heading}"
    section = SECTIONS.get(promise.title, "")
    for part in (
        *(promise.sentence, "- **How it is kept.** ", "- **What it does not cover.** "),
        f"- **Its tests.** `pytest --promise {promise.id}`",
    ):
        assert part in section, f"{PAGE.name} should say of {promise.title}: {part}"
    kept = section.partition("**How it is kept.**")[2].partition("**What it does not cover.**")[0]
    for name in re.findall(r"`([a-z_/]+(?:\.\w+|/))`", kept):
        places = [ROOT / "src" / "durable_llm_streams" / name, ROOT / name]
        exists = any(place.is_file() or any(place.glob("*.*")) for place in places)
        assert exists, f"{name} does not exist"


def test_every_promise_of_the_page_and_of_the_readme_is_in_the_list() -> None:
    assert list(SECTIONS)[: len(PROMISES)] == [each.title for each in PROMISES.values()]
    listed = (ROOT / "README.md").read_text().partition("## What it promises")[2]
    numbered = re.findall(r"^\d+\. \*\*(.+?)\.\*\*", listed, re.MULTILINE)
    place = "README.md#what-it-promises"
    assert numbered == [each.title for each in PROMISES.values() if place in each.promised]


# --- the marks ---------------------------------------------------------------------------------


def test_every_promise_has_a_test() -> None:
    here = Path(__file__)
    modules = [path for path in here.parent.rglob("*.py") if not path.name.endswith("promises.py")]
    marks = re.findall(r"mark\.promise\(([^)]*)\)", "".join(map(Path.read_text, modules)))
    without = PROMISES.keys() - set(re.findall(r'"([\w-]+)"', " ".join(marks)))
    assert not without, f'these have no test with `@pytest.mark.promise("ID")`: {without}'


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--promise=stop"], "one two three"),
        (["--promise=fencing", "--promise=owned"], "one three"),
    ],
)
def test_the_tests_of_a_promise_can_be_chosen(
    options: list[str], chosen: str, tmp_path: Path
) -> None:
    ended = collect(tmp_path, MODULE, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.findall(r"::test_(\w+)$", ended.stdout, re.MULTILINE) == chosen.split()


def test_a_mark_that_names_no_promise_is_an_error_that_lists_them(tmp_path: Path) -> None:
    for names in (("fencinng",), ("fencing", "stops"), (), (7,)):
        said = r"^test_it names (an unknown|no) promise.* one-clean-answer"
        with pytest.raises(ValueError, match=said):
            check_names(names, "test_it")
    ended = collect(tmp_path, MODULE.replace("owned", "ownd"))
    assert ended.returncode == pytest.ExitCode.INTERRUPTED, ended.stdout + ended.stderr
    assert "test_it.py::TestMany::test_three names an unknown promise, 'ownd'" in ended.stdout


# --- the page ----------------------------------------------------------------------------------


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert page == generate(page), "docs/guarantees.md is old; run: python -m tests.guarantees"


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = PAGE.read_text()
    spoilt = page.replace("| `make", "| `fake")
    assert spoilt != page
    assert generate(spoilt) == page
    with pytest.raises(ValueError, match="no markers of evidence"):
        generate("<!-- evidence -->\n")


def keep(root: Path, campaign: Campaign, result: str) -> str:
    """Keep a result. Returns its file's name."""
    name = campaign.results.replace("*", "a")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(result)
    return name


def test_kept_results_are_shown_and_missing_ones_are_named(tmp_path: Path) -> None:
    _, crash, mutants, *_ = CAMPAIGNS
    counts = {"counts": {"kills": 5_000, "violations": 0}, "command": "make crash ARGS=x"}
    keep(tmp_path, crash, json.dumps(counts))
    keep(tmp_path, mutants, '{"rooms": {"fold": {"score": 96.04, "mutants": 1200}}}')
    assert evidence_table(tmp_path).splitlines()[2:5] == [
        "| `make hunt` | No result is kept. |",
        "| `make crash ARGS=x` | 5,000 kills, 0 violations |",
        "| `make mutants` | fold 96.0 % of 1,200 |",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"counts": {"kills": "many"}}', '{"rooms": 5}'])
def test_a_damaged_result_is_one_sentence(text: str, tmp_path: Path) -> None:
    mutants = CAMPAIGNS[2]
    name = keep(tmp_path, mutants, text)
    said = rf"^{re.escape(name)} is damaged .*Make it again: {mutants.command}\.$"
    with pytest.raises(ValueError, match=said):
        evidence_table(tmp_path)
