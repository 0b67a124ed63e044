"""The first visit: how soon the shell is there on a slow machine, and what it fetches for it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from durable_llm_streams.server.ui import BUILT

from ..report import Figure, Scale
from .browser import Site

SLOWER: Final = 4.0
PAINT_MS: Final = 1000.0
SCRIPT_KB: Final = 180.0

_SCRIPT = re.compile(r"""(?:src|href)="\./([^"]+\.js)\"""")
_STYLE = re.compile(r"""href="\./([^"]+\.css)\"""")
_STATIC_IMPORT = re.compile(r"""(?:from|import)\s*["'](\./[^"']+\.js)["']""")


def first_paint(site: Site, scale: Scale) -> Iterator[Figure]:
    """From the address to the painted shell, and to a message box that accepts keys."""
    painted: list[float] = []
    usable: list[float] = []
    slowness: list[float] = []
    for _ in range(2 * scale.repeat - 1):
        with site.tab(slower=SLOWER) as tab:
            tab.goto()
            usable.append(tab.ask("composer()")["value"])
            painted.append(tab.ask("paints()")["first-contentful-paint"])
            tab.rest(2.0)
            slow = tab.ask("calibrate()")
            tab.command("Emulation.setCPUThrottlingRate", rate=1)
            slowness.append(slow / tab.ask("calibrate()"))
    where = f"first visit, CPU {SLOWER:.0f}x slower: "
    yield Figure(
        name=where + "first paint of the shell", values=painted, unit="ms", target=PAINT_MS
    )
    yield Figure(name=where + "the message box hears keys", values=usable, unit="ms")
    yield Figure(name=where + "calibration loop, slower / as it is", values=slowness)


def first_scripts(site: Site, scale: Scale) -> Iterator[Figure]:
    """The scripts that the page itself names and what they import; and all that are fetched."""
    files = eager_scripts(BUILT)
    styles = [BUILT / path.lstrip("/") for path in _STYLE.findall(_index(BUILT))]
    with site.tab() as tab:
        tab.goto().ask("composer()")
        tab.rest(2.0)
        fetched: list[dict[str, Any]] = tab.ask("scripts()")
    names = {f"/{file.relative_to(BUILT)}" for file in files}
    site.faults += [
        f"{name} counts as a script of the first load and was not fetched."
        for name in names - {script["name"] for script in fetched}
    ]
    eager = [script["bytes"] for script in fetched if script["name"] in names]
    later = [script for script in fetched if script["name"] not in names]
    zipped = [len(gzip.compress(file.read_bytes(), 9)) / 1000 for file in files]
    where = "first load: "
    yield Figure(name=where + "scripts, gzip", values=[sum(zipped)], unit="kB", target=SCRIPT_KB)
    yield Figure(name=where + "scripts, as transferred", values=[sum(eager) / 1000], unit="kB")
    yield Figure(
        name=where + "styles, gzip",
        values=[sum(len(gzip.compress(file.read_bytes(), 9)) for file in styles) / 1000],
        unit="kB",
    )
    yield Figure(
        name=f"{where}{len(later)} scripts after the first paint, as transferred",
        values=[sum(script["bytes"] for script in later) / 1000],
        unit="kB",
    )


def eager_scripts(built: Path) -> list[Path]:
    """What a browser must have before the interface runs."""
    found: dict[Path, None] = {}
    waiting = [built / path.lstrip("/") for path in _SCRIPT.findall(_index(built))]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = None
            waiting += [file.parent / name for name in _STATIC_IMPORT.findall(file.read_text())]
    return [file.resolve() for file in found]


def _index(built: Path) -> str:
    return (built / "index.html").read_text()
