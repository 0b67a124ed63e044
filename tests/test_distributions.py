"""What is shipped: the built interface, the wheel, the sdist; and the wheel without a network."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import aiohttp
import pytest

from bench.web.first_load import SCRIPT_KB, eager_scripts
from hatch_build import STATIC, fingerprint, is_current
from tests.node import missing, node_command
from tests.processes import serving
from tests.test_project import PACKAGE, ROOT, project_files

#: Prints the unpacked lengths of the `.br` files named on its input.
UNPACK = """
const fs = require("fs"), zlib = require("zlib");
const length = (name) => zlib.brotliDecompressSync(fs.readFileSync(name)).length;
console.log(JSON.stringify(JSON.parse(fs.readFileSync(0)).map(length)));
"""


@pytest.fixture(scope="module")
def static() -> Path:
    """The built interface."""
    if not is_current(ROOT):
        missing("The web interface is not built. Run: python hatch_build.py")
    return ROOT / STATIC


@pytest.fixture(scope="module")
def distributions(static: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of what is in this checkout."""
    folder = tmp_path_factory.mktemp("distributions")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_large_texts_alone_are_there_compressed_too(static: Path) -> None:
    kinds = {".css", ".html", ".js", ".json", ".svg", ".txt"}
    texts = [path for path in static.rglob("*") if path.suffix in kinds]
    texts = [path for path in texts if path.stat().st_size > 1024]
    assert {".js", ".css"} <= {path.suffix for path in texts}
    variants = [path for path in static.rglob("*") if path.suffix in (".gz", ".br")]
    assert {path.stem for path in variants} == {path.name for path in texts}
    packed = [path.with_name(f"{path.name}.br") for path in texts]
    names = json.dumps([str(path) for path in packed])
    unpacked = subprocess.run(
        [*node_command(), "-e", UNPACK], input=names, capture_output=True, text=True, check=True
    )
    lengths = [path.stat().st_size for path in texts]
    assert json.loads(unpacked.stdout) == lengths
    for path, brotli, length in zip(texts, packed, lengths, strict=True):
        zipped = path.with_name(f"{path.name}.gz")
        assert gzip.decompress(zipped.read_bytes()) == path.read_bytes()
        assert brotli.stat().st_size <= zipped.stat().st_size < length, path.name


def test_what_is_loaded_first_is_small(static: Path) -> None:
    scripts = {file.name: file.read_bytes() for file in eager_scripts(static)}
    kilobytes = {name: len(gzip.compress(code, 9)) / 1000 for name, code in scripts.items()}
    assert len(kilobytes) > 1, kilobytes
    assert sum(kilobytes.values()) <= SCRIPT_KB, kilobytes


def test_the_licences_of_what_is_bundled_are_shipped(static: Path) -> None:
    licences = (static / "licenses.txt").read_text()
    assert re.search(r"^## react-dom - [\d.]+ \(MIT\)$", licences, re.MULTILINE)
    assert "## zod" not in licences, "the AI SDK's checks, which the transport does not use"


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


async def test_an_installed_wheel_serves_the_interface(
    distributions: Path, static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of the network; dependencies are borrowed from this environment."""
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = str(tmp_path / "venv/bin/python")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-index", "--no-deps"]
    subprocess.run([*uv, "--python", python, str(wheel)], check=True, capture_output=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = [python, "-c", "import durable_llm_streams as package; print(package.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert found.stdout.startswith(str(site))
    monkeypatch.setattr(sys, "executable", python)
    async with serving(tmp_path) as server, aiohttp.ClientSession(server.url) as session:
        async with session.get("/") as response:
            assert response.status == 200
            page = await response.text()
        assert '<div id="root">' in page
        (script,) = re.findall(r'<script type="module"[^>]* src="\.(/[^"]+)"', page)
        async with session.get(script) as response:
            assert response.status == 200
            assert "javascript" in response.headers["Content-Type"]
            assert await response.read() == (static / script.removeprefix("/")).read_bytes()
