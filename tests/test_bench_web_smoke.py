"""The measurements of the interface run, and pages show every word. How fast is not asked here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.web.browser import FLAGS, PROGRAMS
from bench.web.run import PAGES
from durable_llm_streams.server.ui import BUILT
from tests import chromium
from tests.node import missing

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


@pytest.mark.parametrize(
    "pages", [("scripts", "layout"), ("typing", "tabs"), ("resuming", "long-chat")], ids=" ".join
)
def test_the_interface_is_measured_and_shows_every_word(
    pages: tuple[str, ...], tmp_path: Path
) -> None:
    if chromium.find_chromium() is None:
        missing("Chromium is needed: apt-get install chromium, or set DLS_CHROMIUM to its path")
    if not (BUILT / "index.html").is_file():
        missing("The interface was not built: run `make test`, or python hatch_build.py")

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


def test_every_measurement_has_a_name_that_the_command_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True
    )

    assert all(name in done.stdout for name in PAGES), done.stdout


def test_the_browser_is_the_one_of_the_tests() -> None:
    assert (PROGRAMS, FLAGS) == (chromium.PROGRAMS, chromium.FLAGS)
