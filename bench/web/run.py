"""All measurements of the interface, each on a server of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from durable_llm_streams.server.ui import BUILT

from ..processes import server
from ..report import Figure, Outcome, Scale
from . import first_load, opening, streaming
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
    """Measure what `scale.pages` names, by default everything.

    Raises:
        SystemExit: there is no Chromium, or the interface was not built.
    """
    if not (BUILT / "index.html").is_file():
        raise SystemExit("The interface was not built: python hatch_build.py")
    figures: list[Figure] = []
    faults: list[str] = []
    raw: list[object] = []
    with chromium() as browser:
        for name in scale.pages or PAGES:
            with server("web", module="bench.web.server") as running:
                site = Site(browser, running.port)
                if not figures:
                    figures.append(_calibration(site))
                figures += PAGES[name](site, scale)
                faults += site.faults
                raw += site.raw
    return Outcome(name="web", figures=figures, faults=faults, raw=raw)


def _calibration(site: Site) -> Figure:
    """How fast JavaScript is here and now: what times on two machines are compared by."""
    with site.tab() as tab:
        tab.goto().ask("composer()")
        tab.rest(2.0)
        return Figure(name="calibration loop", values=[tab.ask("calibrate()")], unit="ms")
