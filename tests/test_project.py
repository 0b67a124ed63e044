"""What holds for the project itself: its locks, its Makefile, its rooms."""

import json
import os
import re
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.node import PROJECT as AI_SDK
from tests.node import WEB

ROOT = Path(__file__).parents[1]
SCRIPTS = ("bootstrap", "browser", "faketime", "nginx", "redis")
PACKAGE = "src/durable_llm_streams"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

#: Each lock and the dependency groups in it, beside the package's own dependencies.
LOCKS = {
    "app": ["build"],
    "dev": ["dev"],
    "mutants": ["dev", "mutants"],
    "bench": ["build", "bench"],
}
ALL_LOCKS = ["uv", *LOCKS]

#: A scheme, a drive, an option other than a hash, or a path that does not begin in this project.
PLACE = re.compile(r"://|file:|\\\\|^\s*-(?!-hash=)|(?:^|[\s=@])(?:/|~|\.\./|[A-Za-z]:[\\/])")
#: Folders that only the writer's machine has; `you`, `user` and `app` stand for any user.
ONE_MACHINE = re.compile(
    r"(?<![\w.])/(?:(?:home|Users)/(?!(?:you|user|app)\b)\w|roo[t]/|tmp/(?:tm[p]|pytest-)\w)"
)


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def versions(name: str) -> dict[str, list[Version]]:
    found: defaultdict[str, list[Version]] = defaultdict(list)
    for package, version in re.findall(r"^([\w.-]+)==([^ \\\n]+)", lock(name), re.MULTILINE):
        found[canonicalize_name(package)].append(Version(version))
    return dict(found)


def group(name: str) -> Iterator[Requirement]:
    for entry in PYPROJECT["dependency-groups"][name]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from group(entry["include-group"])


def project_files() -> list[str]:
    """Every file that is in git, or would be after `git add --all`."""
    if not (ROOT / ".git").exists() and "CI" not in os.environ:
        pytest.skip("not a git checkout")
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(
        ["git", "-c", "safe.directory=*", *listing], cwd=ROOT, check=True, capture_output=True
    )
    names = {name for name in answer.stdout.decode().split("\0") if (ROOT / name).is_file()}
    assert "pyproject.toml" in names
    return sorted(names)


@pytest.mark.parametrize("name", ALL_LOCKS)
def test_a_lock_names_no_host_and_no_place_on_a_disk(name: str) -> None:
    assert [line for line in lock(name).splitlines() if PLACE.search(line)] == []


@pytest.mark.parametrize("name", ALL_LOCKS)
def test_every_package_in_a_lock_has_an_exact_version_and_a_hash(name: str) -> None:
    entries = re.sub(r"^ *#.*\n", "", lock(name), flags=re.MULTILINE).replace("\\\n", " ")
    pinned = re.compile(r"[\w.-]+==\S+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [line[:80] for line in entries.splitlines() if not pinned.fullmatch(line)] == []
    assert versions(name)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_up_to_date_with_pyproject(name: str) -> None:
    asked = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    asked += [Requirement(text) for extra in extras for text in extra]
    asked += [requirement for part in LOCKS[name] for requirement in group(part)]
    locked = versions(name)
    stale = [
        str(requirement)
        for requirement in asked
        if not any(
            map(requirement.specifier.contains, locked.get(canonicalize_name(requirement.name), []))
        )
    ]
    assert stale == [], "run: make lock"


def test_the_tools_of_developers_change_no_version_of_the_application() -> None:
    application = versions("app")
    for name in ("dev", "bench"):
        others = versions(name)
        assert {package: others.get(package) for package in application} == application


def packages(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "package-lock.json").read_text())[
        "packages"
    ]
    assert len(found) > 1
    return found


def resolves(names: dict[str, Any], place: str, name: str) -> bool:
    """Whether Node.js would find a package from a place: there, or in a folder around it."""
    while f"{place}/node_modules/{name}".removeprefix("/") not in names:
        if not place:
            return False
        place = place.rpartition("node_modules/")[0].rstrip("/")
    return True


@pytest.mark.parametrize("folder", [WEB, AI_SDK], ids=["web", "aisdk"])
def test_an_npm_lock_names_no_host_and_every_package_has_a_digest(folder: Path) -> None:
    entries = packages(folder)
    assert [name for name, entry in entries.items() if "resolved" in entry] == []
    assert [name for name in entries if name and "integrity" not in entries[name]] == []
    for part in ("dependencies", "devDependencies"):
        asked = entries[""].get(part, {}).items()
        assert [each for each in asked if not re.fullmatch(r"\d+\.\d+\.\d+", each[1])] == []
    inside = [key for entry in entries.values() for key in entry.get("dependencies", {}).values()]
    assert [value for value in inside if re.search(r"://|^(file|git|link):", value)] == []


@pytest.mark.parametrize("folder", [WEB, AI_SDK], ids=["web", "aisdk"])
def test_an_npm_lock_holds_the_optional_packages_of_every_platform(folder: Path) -> None:
    entries = packages(folder)
    absent = [
        f"{name} for {place}"
        for place, entry in entries.items()
        for name in entry.get("optionalDependencies", {})
        if not resolves(entries, place, name)
    ]
    assert absent == [], "`npm ci` fails on the platform that misses one"


def test_no_file_names_a_folder_that_only_one_machine_has() -> None:
    found = []
    for name in project_files():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in ONE_MACHINE.finditer(text)]
    assert found == []


def test_no_source_file_grows_past_400_lines() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in (ROOT / "src").rglob("*.py")}
    assert {path: size for path, size in sizes.items() if size > 400} == {}


def test_every_module_must_be_given_a_room() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    layers = [contract for contract in contracts if contract["type"] == "layers"]
    rooms = [container for contract in layers for container in contract["containers"]]
    assert sorted(rooms) == [
        "durable_llm_streams",
        "durable_llm_streams.providers",
        "durable_llm_streams.server.edge",
        "durable_llm_streams.stores",
        "durable_llm_streams.stores.redis",
        "durable_llm_streams.stores.sqlite",
    ]
    for contract in layers:
        assert contract["exhaustive"] is True
        assert not {"exhaustive_ignores", "ignore_imports"} & contract.keys()


def named(heading: str) -> list[list[str]]:
    """What stands in backticks in each cell of a section's tables."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!---)(.+) \|$", section, re.MULTILINE)
    assert rows
    return [re.findall(r"`([^`]+)`", cell) for row in rows for cell in row.split(" | ")]


def test_contributing_names_files_that_exist_for_each_change() -> None:
    names = [name for cell in named("Where do I change X?") for name in cell]
    files = [name for name in names if re.fullmatch(r"[\w/-]+(?:\.\w+|/)", name)]
    tracked = project_files()
    absent = [
        file
        for file in files
        if not any(name.startswith((f"{PACKAGE}/{file}", file)) for name in tracked)
    ]
    assert len(files) > 20
    assert absent == []


def test_contributing_describes_every_room() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (top,) = (each for each in contracts if each.get("containers") == ["durable_llm_streams"])
    rooms = {room for layer in top["layers"] for room in layer.split(" | ")}
    described = {name for cell in named("The rooms") for name in cell}
    assert {room for room in rooms if not room.startswith("_")} <= described


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]\S*?):(?!=)", makefile, re.MULTILINE))
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(re.findall(r"^make (\S+) +\S", shown.stdout, re.MULTILINE)) == targets
    (phony,) = re.findall(r"^\.PHONY: (.+)", makefile, re.MULTILINE)
    assert set(phony.split()) == targets


def test_every_script_can_be_executed() -> None:
    scripts = [".ci/run", *(f"scripts/{name}" for name in SCRIPTS)]
    assert [script for script in scripts if not os.access(ROOT / script, os.X_OK)] == []
