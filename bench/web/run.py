"""All measurements of the interface, each on a server of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from playwright.sync_api import Error as BrowserError

from durable_llm_streams.server.ui import BUILT

from ..processes import server
from ..report import Figure, Outcome, Scale
from . import first_load, opening, streaming
from .bounds import OverdueError
from .browser import Site, chromium

PAGES: Final[dict[str, Callable[[Site, Scale], Iterator[Figure]]]] = {
    "paint": first_load.first_paint,
    "scripts": first_load.first_scripts,
    "streaming": streaming.streaming,
    "typing": streaming.typing,
    "resuming": opening.resuming,
    "long-chat": opening.long_chat,
    "layout": opening.layout,
    "tabs": opening.tabs,
    "memory": opening.memory,
}


def run(scale: Scale) -> Outcome:
    """Measure what `scale.pages` names, by default everything; figures are printed as they come.

    Raises:
        SystemExit: there is no Chromium, or the interface was not built.
    """
    if not (BUILT / "index.html").is_file():
        raise SystemExit("The interface was not built: python hatch_build.py")
    begun = time.monotonic()
    figures: list[Figure] = []
    faults: list[str] = []
    raw: list[object] = []
    for name in ("calibration", *(scale.pages or PAGES)):
        # A browser for each: one that had to be ended takes no other page with it.
        with server("web", module="bench.web.server") as running, chromium() as browser:
            site = Site(browser, running.port)
            try:
                for figure in _MEASURED[name](site, scale):
                    figures.append(figure)
                    _say(begun, figure)
            except (BrowserError, OSError, OverdueError) as error:
                site.faults.append(f"{name} was given up. {error}")
            faults += site.faults
            raw += site.raw
    return Outcome(name="web", figures=figures, faults=faults, raw=raw)


def _calibration(site: Site, scale: Scale) -> Iterator[Figure]:
    """How fast JavaScript is here and now: what times on two machines are compared by."""
    with site.tab() as tab:
        tab.goto().ask("composer()")
        tab.rest(2.0)
        yield Figure(name="calibration loop", values=[tab.ask("calibrate()")], unit="ms")


_MEASURED: Final = {"calibration": _calibration, **PAGES}


def _say(begun: float, figure: Figure) -> None:
    noise = "" if figure.noise is None else f", others {figure.noise:.0%}"
    line = f"{figure.name}: {figure.value:.3g} {figure.unit} {figure.verdict}".rstrip()
    print(f"{time.monotonic() - begun:5.0f} s  {line}{noise}", file=sys.stderr, flush=True)
