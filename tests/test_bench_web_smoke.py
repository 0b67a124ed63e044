"""The measurements of the interface run, and pages show every word. How fast is not asked here."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from bench.processes import server
from bench.web import browser, streaming
from bench.web.bounds import OverdueError, Watch
from bench.web.browser import FLAGS, PROGRAMS
from bench.web.content import marks, marks_of_whole_lines
from bench.web.run import PAGES
from bench.web.source import Script
from durable_llm_streams.server.ui import BUILT
from tests import chromium
from tests.node import missing

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


@pytest.fixture
def browser_and_interface() -> None:
    """Both are there, or the test is skipped."""
    if chromium.find_chromium() is None:
        missing("Chromium is needed: apt-get install chromium, or set DLS_CHROMIUM to its path")
    if not (BUILT / "index.html").is_file():
        missing("The interface was not built: run `make test`, or python hatch_build.py")


@pytest.mark.usefixtures("browser_and_interface")
@pytest.mark.parametrize(
    "pages", [("scripts", "layout"), ("typing", "tabs"), ("resuming", "long-chat")], ids=" ".join
)
def test_the_interface_is_measured_and_shows_every_word(
    pages: tuple[str, ...], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "bench", "web", "--tiny", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "--json", "--pages", *pages], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)["outcome"]
    assert outcome["faults"] == []
    assert len(outcome["figures"]) > len(pages)
    for figure in outcome["figures"]:
        assert all(value >= 0 for value in figure["values"]), figure


@pytest.mark.usefixtures("browser_and_interface")
def test_an_answer_that_stops_in_a_table_is_measured_to_its_end() -> None:
    ready = next(n for n in count(200) if marks_of_whole_lines("mixed", n) < marks("mixed", n))
    script = Script(kind="mixed", ready=ready, more=30, held=True)
    with server("web", module="bench.web.server") as running, browser.chromium() as program:
        site = browser.Site(program, running.port)
        seen = streaming.watch(site, script, keys=0)
    assert site.faults == []
    assert seen.seen["lags"]


@pytest.mark.usefixtures("browser_and_interface")
def test_a_page_that_hangs_is_given_up_and_what_was_waited_for_is_said() -> None:
    with browser.chromium() as program:
        page = program.new_page()
        with (
            pytest.raises(OverdueError, match=r"the end: The page did not answer within 1 s\."),
            Watch(program).awaits("the end", seconds=1.0),
        ):
            page.evaluate("() => { while (true); }")
        assert not program.is_connected()


def test_every_measurement_has_a_name_that_the_command_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True
    )

    assert all(name in done.stdout for name in PAGES), done.stdout


def test_the_browser_is_the_one_of_the_tests() -> None:
    assert (PROGRAMS, FLAGS) == (chromium.PROGRAMS, chromium.FLAGS)
