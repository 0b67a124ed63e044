"""Chats that are opened: one in mid-answer, one of a thousand messages; many tabs; memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from playwright.sync_api import Request

from ..report import Figure, Scale
from . import noise
from .browser import Site, Tab
from .content import marks
from .source import Script
from .visitor import Visitor, go

RESUMED_MS: Final = 1000.0
OPEN_MS: Final = 1500.0
MOUNTED: Final = 150.0
TABS: Final = 8
#: A level is reached again when it is not exceeded by more than a tenth.
LEVEL: Final = 1.1

_CHATS = 10
_SCROLLS = 12
_REPLY = Script(kind="prose", ready=40)
_LONG_REPLY = Script(kind="mixed", ready=400)


def resuming(site: Site, scale: Scale) -> Iterator[Figure]:
    """A page that is loaded again when an answer of many events stands half written."""
    size = min(10_000, scale.answer[0])
    script = Script(kind="prose", ready=size, held=True)
    visitor = Visitor(site.port)
    visitor.begin("chat", script)
    wanted = marks(script.kind, size)
    visible: list[float] = []
    laid_out: list[float] = []
    before = noise.now()
    with site.tab(visitor) as tab:
        for _ in range(1 + 2 * scale.repeat):
            tab.goto("/c/chat")
            visible.append(tab.ask(f"shown({wanted}, false)")["at"])
            laid_out.append(tab.ask(f"shown({wanted}, true)")["at"])
            if tab.ask("numbers()") != list(range(1, wanted + 1)):
                site.faults.append("After a reload the text is not whole.")
            tab.rest(0.5)
    others = noise.others_since(before)
    go(site.port)
    where = f"resume of {size} events, reload to all of the text: "
    yield Figure(
        name=where + "visible", values=visible[1:], unit="ms", target=RESUMED_MS, noise=others
    )
    yield Figure(name=where + "as Markdown", values=laid_out[1:], unit="ms")


def long_chat(site: Site, scale: Scale) -> Iterator[Figure]:
    """A chat of a thousand messages: open it, then scroll far back."""
    visitor = Visitor(site.port)
    visitor.fill("chat", scale.messages // 2, _REPLY)
    visible: list[float] = []
    blocked: list[float] = []
    before = noise.now()
    mounted = 0
    with site.tab(visitor) as tab:
        for _ in range(1 + 2 * scale.repeat):
            tab.goto("/c/chat")
            visible.append(tab.ask("opened('chat')")["at"])
            tab.rest(1.0)
            blocked.append(tab.ask("blocked(0)")["blocked"])
            mounted = max(mounted, tab.ask("mounted()"))
        others = noise.others_since(before)
        tab.ask("watchMounted()")
        for _ in range(_SCROLLS):
            tab.ask("scrollBack()")
            tab.rest(0.2)
        scrolled = tab.ask("mostMounted()")
    where = f"chat of {scale.messages} messages: "
    yield Figure(name=where + "open", values=visible[1:], unit="ms", target=OPEN_MS, noise=others)
    yield Figure(name=where + "blocked meanwhile", values=blocked[1:], unit="ms")
    yield Figure(name=where + "messages mounted", values=[mounted], unit="", target=MOUNTED)
    yield Figure(name=where + "after scrolling back", values=[scrolled], unit="", target=MOUNTED)


def layout(site: Site, scale: Scale) -> Iterator[Figure]:
    """Load, ask, read, to the end: nothing that is seen may be moved."""
    more = min(300, scale.answer[1])
    for kind in ("prose", "mixed"):
        question = Script(kind=kind, more=more, rate=100.0).text
        with site.tab() as tab:
            tab.goto().ask("composer()")
            tab.rest(1.0)
            tab.page.get_by_label("Message", exact=True).fill(question)
            tab.press("Enter")
            tab.ask(f"shown({marks(kind, more)}, true)")
            tab.ask("idle()")
            tab.rest(1.0)
            shifts: list[dict[str, Any]] = tab.ask("shifts()")
        site.raw += [{"kind": kind, **shift} for shift in shifts]
        where = f"layout shift, from loading to the end, {kind}: "
        by_itself = [shift["value"] for shift in shifts if not shift["hadRecentInput"]]
        everything = [shift["value"] for shift in shifts]
        yield Figure(name=where + "by itself", values=[sum(by_itself)], unit="", target=0.0)
        yield Figure(name=where + "and after a key press", values=[sum(everything)], unit="")


def tabs(site: Site, scale: Scale) -> Iterator[Figure]:
    """Many tabs of one browser: one live feed, and the last one is as usable as the first."""
    open_feeds: set[Request] = set()

    def begins(request: Request) -> None:
        if "/api/events" in request.url:
            open_feeds.add(request)

    def ends(request: Request) -> None:
        open_feeds.discard(request)

    usable: list[float] = []
    with site.context() as context:
        context.on("request", begins)
        context.on("requestfinished", ends)
        context.on("requestfailed", ends)
        for _ in range(TABS):
            tab = Tab(site, context.new_page()).goto()
            usable.append(tab.ask("composer()")["value"])
            tab.rest(0.5)
        feeds = len(open_feeds)
    if feeds == 0:
        site.faults.append("No tab reads the live feed.")
    where = f"{TABS} tabs: "
    yield Figure(name=where + "live feeds open", values=[feeds], unit="", target=1.0)
    yield Figure(name=where + "the last one hears keys", values=[usable[-1]], unit="ms")


def memory(site: Site, scale: Scale) -> Iterator[Figure]:
    """Open ten long chats, one after the other, and go back to the empty one."""
    exchanges = max(2, scale.messages // 50)
    chats = [f"chat{number}" for number in range(_CHATS + 1)]
    visitor = Visitor(site.port)
    for chat in chats:
        visitor.fill(chat, exchanges, _LONG_REPLY)
    with site.tab(visitor) as tab:
        tab.goto().ask("composer()")
        _visit(tab, chats[-1])  # loads what is loaded once
        before = _level(tab)
        for chat in chats[:-1]:
            _visit(tab, chat, leave=False)
        opened = _level(tab, leave=False)
        after = _level(tab)
        for chat in chats[:-1]:
            _visit(tab, chat, leave=False)
        again = _level(tab)
    where = f"memory after {_CHATS} chats of {2 * exchanges} messages / before: "
    for name in ("heap", "nodes", "listeners"):
        yield Figure(name=where + name, values=[after[name] / before[name]], target=LEVEL)
    where = f"memory after {_CHATS} more / before these: "
    for name in ("heap", "nodes", "listeners"):
        yield Figure(name=where + name, values=[again[name] / after[name]], target=LEVEL)
    for name, level in (("before", before), ("with the tenth open", opened), ("after", after)):
        yield Figure(name=f"heap {name}", values=[level["heap"] / 1e6], unit="MB")


def _visit(tab: Tab, chat: str, *, leave: bool = True) -> None:
    tab.page.locator(f'[data-testid="chat-row"] a[href="/c/{chat}"]').click()
    tab.ask(f"opened('{chat}')")
    tab.rest(0.3)
    if leave:
        _leave(tab)


def _leave(tab: Tab) -> None:
    tab.press("Control+Shift+O")
    tab.page.wait_for_url(lambda url: "/c/" not in url)
    tab.rest(0.5)


def _level(tab: Tab, *, leave: bool = True) -> dict[str, float]:
    """What is held after everything that can go has gone."""
    if leave and "/c/" in tab.page.url:
        _leave(tab)
    for _ in range(3):
        tab.command("HeapProfiler.collectGarbage")
        tab.rest(0.3)
    tab.command("Performance.enable")
    metrics = tab.command("Performance.getMetrics")["metrics"]
    found = {metric["name"]: metric["value"] for metric in metrics}
    return {
        "heap": found["JSHeapUsedSize"],
        "nodes": found["Nodes"],
        "listeners": found["JSEventListeners"],
    }
