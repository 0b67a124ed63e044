"""What holds for the project itself: its locks, its Makefile, its rooms, its distributions."""

import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from hatch_build import STATIC, fingerprint, is_current
from tests.node import missing

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
#: Folders that only the writer's machine has; `you`, `user` and `app` stand for anybody.
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
def test_a_lock_is_up_to_date_with_what_pyproject_asks_for(name: str) -> None:
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
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in (ROOT / "src").rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_every_module_must_be_given_a_room() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    layers = [contract for contract in contracts if contract["type"] == "layers"]
    rooms = [container for contract in layers for container in contract["containers"]]
    assert rooms == ["durable_llm_streams", "durable_llm_streams.providers"]
    for contract in layers:
        assert contract["exhaustive"] is True
        assert not {"exhaustive_ignores", "ignore_imports"} & contract.keys()


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]\S*?):(?!=)", makefile, re.MULTILINE))
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(re.findall(r"^make (\S+) +\S", shown.stdout, re.MULTILINE)) == targets
    (phony,) = re.findall(r"^\.PHONY: (.+)", makefile, re.MULTILINE)
    assert set(phony.split()) == targets


@pytest.mark.parametrize("script", [".ci/run", *(f"scripts/{name}" for name in SCRIPTS)])
def test_a_script_can_be_executed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of what is in this checkout."""
    if not is_current(ROOT):
        missing("The web interface is not built. Run: python hatch_build.py")
    folder = tmp_path_factory.mktemp("distributions")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def interface() -> set[str]:
    """The files of the built interface."""
    files = (path for path in (ROOT / STATIC).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_wheel_holds_every_file_of_the_package_and_the_interface(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with ZipFile(wheel) as archive:
        inside = {f"src/{name}" for name in archive.namelist() if ".dist-info/" not in name}
    package = {name for name in project_files() if name.startswith(f"{PACKAGE}/")}
    assert inside == package | interface()
    assert {f"{PACKAGE}/py.typed", f"{STATIC.as_posix()}/index.html"} <= inside


def test_the_sdist_holds_the_interface_and_its_sources(distributions: Path, tmp_path: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path], check=True)
    (unpacked,) = tmp_path.iterdir()
    assert fingerprint(unpacked / "web") == fingerprint(ROOT / "web")
    assert is_current(unpacked), "installing from it would need Node.js"
    inside = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    assert interface() <= inside
    assert [name for name in inside if "node_modules" in name] == []
