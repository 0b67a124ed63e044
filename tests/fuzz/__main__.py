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
import contextlib
import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.fuzz.harness import CORPUS, Check, keep

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
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("name", help="a target, `all`, or `list` for their names")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--keep", metavar="BASE64", help="an input for the target's corpus")
    parser.add_argument("--inside", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.inside is not None:
        return _inside(asked.name, asked.inside)
    names = _names()
    if asked.name == "list":
        print("\n".join(names))
        return 0
    if asked.name != "all" and asked.name not in names:
        parser.error(f"there is no target {asked.name}; there are {', '.join(names)}")
    if asked.keep is not None:
        print(keep(asked.name, base64.b64decode(asked.keep)))
        return 0
    if importlib.util.find_spec("atheris") is None:
        print(_NO_ATHERIS, file=sys.stderr)
        return 2
    chosen = names if asked.name == "all" else [asked.name]
    return max([_search(name, asked.seconds) for name in chosen])


def _names() -> list[str]:
    return sorted(path.name for path in CORPUS.iterdir() if path.is_dir())


def _search(name: str, seconds: int) -> int:
    """Search in a process of its own, which the search ends. What broke is kept."""
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={_ONE_INPUT_SECONDS}",
            f"-rss_limit_mb={_MEGABYTES}",
            f"-max_len={_MOST_BYTES}",
            f"-artifact_prefix={folder}/",
            f"-dict={_dictionary(name, Path(folder))}",
            "-print_final_stats=1",
            str(found),
            str(CORPUS / name),
        ]
        command = [sys.executable, "-m", "tests.fuzz", name, "--inside", *_escaped(options)]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        files = [path for path in Path(folder).iterdir() if path.name != "words"]
        broken = {path.read_bytes() for path in files}
        for data in broken:
            print(f"{name}: broken by {keep(name, data)}")
    print(f"{name}: {_summary(done.stderr)}")
    if broken or done.returncode:
        print(done.stderr[-6000:], file=sys.stderr)
    return int(bool(broken or done.returncode))


def _escaped(options: list[str]) -> list[str]:
    """So that the options of the search are not taken for options of this command."""
    return [f"+{option}" for option in options]


def _summary(log: str) -> str:
    """Executions, and how many branches and features of branches were reached."""
    executed = re.findall(r"^stat::number_of_executed_units:\s*(\d+)", log, re.MULTILINE)
    reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", log)
    cov, features, kept = reached[-1] if reached else ("?", "?", "?")
    count = executed[-1] if executed else "?"
    return f"{count} executions, {cov} branches, {features} features, {kept} inputs"


def _dictionary(name: str, folder: Path) -> Path:
    """The words of the format as the search reads them."""
    from tests.fuzz.targets import TARGETS

    path = folder / "words"
    words = [word for word in TARGETS[name].tokens if 1 < len(word) <= 64]
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
    path.write_text("".join(f'"{word}"\n' for word in quoted), encoding="ascii")
    return path


def _inside(name: str, options: list[str]) -> int:
    """The search itself. It ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["durable_llm_streams"]):
        from tests.fuzz.targets import TARGETS
    with contextlib.ExitStack() as stack:
        check = stack.enter_context(TARGETS[name].opened())
        given = [option[1:] for option in options]
        atheris.Setup(["fuzz", *given], partial(_noted, check, _artifacts(given)))
        atheris.Fuzz()
    return 0


def _artifacts(options: list[str]) -> Path:
    """Where what breaks the target goes."""
    named = "-artifact_prefix="
    found = (option.removeprefix(named) for option in options if option.startswith(named))
    return Path(next(found, "."))


def _noted(check: Check, folder: Path, data: bytes) -> None:
    """Try an input. If it breaks the target, it is written down before the process falls."""
    try:
        check(data)
    except BaseException:
        (folder / "raised").write_bytes(data)
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
