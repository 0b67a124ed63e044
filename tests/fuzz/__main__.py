"""Search for inputs that break a target, guided by the branches that they reach.

    python -m tests.fuzz NAME [--seconds N]     until something breaks, N seconds at the most
    python -m tests.fuzz all [--seconds N]      one target after the other, N seconds each
    python -m tests.fuzz NAME --keep BASE64     put an input that a test has printed into the corpus

What breaks a target is put into its corpus, where every `make test` tries it again. What merely
leads further is kept in build/fuzz/NAME, for the next search.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.harness import CORPUS, keep, words

ROOT = CORPUS.parents[2]
FOUND = ROOT / "build" / "fuzz"

_ONE_INPUT_SECONDS = 20
_MEGABYTES = 2048
_MOST_BYTES = 4096
_NO_ATHERIS = (
    "atheris is not installed here. `scripts/bootstrap fuzz` installs it into .venv (it has wheels "
    "for Linux on x86-64). Without it, `make test` tries every target with the corpus and with "
    "Hypothesis."
)


def main(arguments: list[str]) -> int:
    """Search, or keep an input.

    Returns:
        0 when nothing broke, 1 when something did, 2 when there is nothing to search with.
    """
    names = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=["all", *names], help="a target, or `all`")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--keep", metavar="BASE64", help="an input for the target's corpus")
    asked = parser.parse_args(arguments)
    if asked.keep is not None:
        print(keep(asked.name, base64.b64decode(asked.keep)))
        return 0
    if importlib.util.find_spec("atheris") is None:
        print(_NO_ATHERIS, file=sys.stderr)
        return 2
    return max(_search(name, asked.seconds) for name in names if asked.name in ("all", name))


def _search(name: str, seconds: int) -> int:
    """Search in a process of its own, which the search ends. What broke is kept."""
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as dictionary:
        quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in words(name))
        Path(dictionary.name).write_text("".join(f'"{word}"\n' for word in quoted), "ascii")
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={_ONE_INPUT_SECONDS}",
            f"-rss_limit_mb={_MEGABYTES}",
            f"-max_len={_MOST_BYTES}",
            f"-artifact_prefix={folder}/",
            f"-dict={dictionary.name}",
            "-print_final_stats=1",
            str(found),
            str(CORPUS / name),
        ]
        program = f"from tests.fuzz import __main__ as fuzz; fuzz.search({name!r}, {folder!r})"
        command = [sys.executable, "-c", program, *options]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        broken = {path.read_bytes() for path in Path(folder).iterdir()}
        for data in broken:
            print(f"{name}: broken by {keep(name, data)}")
    executed = re.findall(r"^stat::number_of_executed_units:\s*(\d+)", done.stderr, re.MULTILINE)
    reached = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", done.stderr)
    branches, kept = reached[-1] if reached else ("?", "?")
    print(f"{name}: {(executed or '?')[-1]} executions, {branches} branches, {kept} inputs")
    if broken or done.returncode:
        print(done.stderr[-6000:], file=sys.stderr)
    return int(bool(broken or done.returncode))


def search(name: str, folder: str) -> None:
    """The search itself, with the options of this process. It ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["durable_llm_streams"]):
        from tests.fuzz.targets import TARGETS
    with TARGETS[name]() as check:

        def noted(data: bytes) -> None:
            try:
                check(data)
            except BaseException:  # written down before the process falls
                Path(folder, "raised").write_bytes(data)
                raise

        atheris.Setup(sys.argv, noted)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
