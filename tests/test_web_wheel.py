"""The interface as it is shipped: compressed, and served by an installed wheel without network."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import aiohttp
import pytest

from hatch_build import STATIC, is_current
from tests.node import missing, node_command
from tests.processes import serving

ROOT = Path(__file__).parents[1]

TEXT = {".css", ".html", ".js", ".json", ".svg", ".txt"}

#: Says of each file that it is given how long it is without its compression.
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


def large_texts(static: Path) -> list[Path]:
    texts = [path for path in static.rglob("*") if path.suffix in TEXT]
    return [path for path in texts if path.stat().st_size > 1024]


def test_every_large_text_is_there_compressed_too(static: Path) -> None:
    texts = large_texts(static)
    assert {".js", ".css"} <= {path.suffix for path in texts}
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


def test_what_is_compressed_already_is_not_compressed_again(static: Path) -> None:
    variants = [path for path in static.rglob("*") if path.suffix in (".gz", ".br")]
    texts = {path.name for path in large_texts(static)}
    assert {path.stem for path in variants} == texts


def test_the_licences_of_what_is_bundled_are_shipped(static: Path) -> None:
    licences = (static / "licenses.txt").read_text()
    assert re.search(r"^## react-dom - [\d.]+ \(MIT\)$", licences, re.MULTILINE)
    assert "## zod" not in licences, "the AI SDK's checks, which the transport does not use"


@pytest.fixture(scope="module")
def installed(static: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with this checkout's wheel; nothing was asked of the network.

    What the package depends on is borrowed from the environment of the tests.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    uv = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-index", "--no-deps"]
    subprocess.run([*uv, "--python", str(python), str(wheel)], check=True, capture_output=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = [str(python), "-c", "import durable_llm_streams as package; print(package.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=folder)
    assert found.stdout.startswith(str(site))
    return python


async def test_an_installed_wheel_serves_the_interface(
    installed: Path, static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(installed))
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
