"""A long answer while it is written: frames, blocked time, how far the page is behind, keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from ..report import Figure, Scale
from . import noise
from .browser import Site, Tab
from .content import marks, marks_of_whole_lines
from .source import Script
from .visitor import Visitor, go

FRAMES: Final = 55.0
#: Milliseconds over 50 of all long tasks, in forty seconds.
BLOCKED_MS: Final = 1000.0
WINDOW: Final = 40.0
LONGEST_MS: Final = 300.0
LAG_MS: Final = 300.0
KEY_MS: Final = 50.0

_KEYS = 60
_KEYS_TINY = 5
_BETWEEN_KEYS = 0.11
_CALM = 2.0
_SHIFTS = 100

Kind = Literal["prose", "list", "code", "mixed"]


class Answer(NamedTuple):
    """What was seen while an answer was written, and the share of the machine that others used."""

    seen: dict[str, Any]
    others: float


def streaming(site: Site, scale: Scale) -> Iterator[Figure]:
    """The end of a long answer, of each kind."""
    for kind in ("prose", "list", "code", "mixed"):
        script = _script(kind, scale)
        seen, others = watch(site, script, keys=0)
        where = f"{kind}, {script.ready + script.more} tokens: "
        yield Figure(
            name=where + "frames/s",
            values=[len(seen["gaps"]) / seen["seconds"]],
            unit="/s",
            target=FRAMES,
            more_is_better=True,
            noise=others,
        )
        blocked = seen["blocked"] * max(1.0, WINDOW / seen["seconds"])
        yield Figure(name=where + "blocked in 40 s", values=[blocked], unit="ms", target=BLOCKED_MS)
        yield Figure(
            name=where + "longest task", values=[seen["longest"]], unit="ms", target=LONGEST_MS
        )
        lags = seen["lags"]
        yield Figure(
            name=where + "CPU of the page's thread",
            values=[100 * seen["cpu"]["Task"] / seen["seconds"]],
            unit="%",
        )
        yield Figure(name=where + "shown after, p50", values=[_at(lags, 0.5)], unit="ms")
        yield Figure(
            name=where + "shown after, p99", values=[_at(lags, 0.99)], unit="ms", target=LAG_MS
        )
        yield Figure(name=where + "layout shift", values=[seen["shift"]], unit="", target=0.0)


def typing(site: Site, scale: Scale) -> Iterator[Figure]:
    """Keys while an answer is written: from the key press to the frame that shows it."""
    script = _script("prose", scale)
    keys = _KEYS_TINY if scale.answer[1] < _KEYS else _KEYS
    seen, others = watch(site, script, keys=keys)
    if len(seen["keys"]) != keys:
        site.faults.append(f"{keys} keys were pressed and {len(seen['keys'])} were heard.")
    where = "key press to paint while an answer is written: "
    for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
        yield Figure(
            name=where + name,
            values=[_at(seen["keys"], share)],
            unit="ms",
            target=KEY_MS,
            noise=others,
        )
    yield Figure(
        name=where + "longest event (Event Timing, to 8 ms)",
        values=[max(seen["events"], default=0.0)],
        unit="ms",
        target=KEY_MS,
    )


def _script(kind: Kind, scale: Scale) -> Script:
    ready, more = scale.answer
    return Script(kind=kind, ready=ready, more=more, held=True)


def watch(site: Site, script: Script, *, keys: int) -> Answer:
    """Open a paused answer, resume it, and watch it until its end.

    Args:
        site: where it is asked for.
        script: the answer.
        keys: how many are pressed meanwhile.

    Raises:
        OverdueError: it is not shown, or does not end.
    """
    visitor = Visitor(site.port)
    visitor.begin(script.kind, script)
    with site.tab(visitor) as tab:
        there = marks_of_whole_lines(script.kind, script.ready)
        tab.goto(f"/c/{script.kind}").ask(f"shown({there}, true)")
        tab.rest(_CALM)
        before = noise.now()
        used = tab.thread_seconds()
        tab.ask("begin()")
        go(site.port)
        _press(tab, keys)
        total = marks(script.kind, script.ready + script.more)
        tab.ask(f"shown({total}, true)")
        seen = tab.ask("end()")
        others = noise.others_since(before)
        seen["cpu"] = {part: at - used[part] for part, at in tab.thread_seconds().items()}
        shifts = tab.ask("shifts()")
        site.raw.append(
            {"kind": script.kind, "keys": keys, "cpu": seen["cpu"], "shifts": shifts[:_SHIFTS]}
        )
        tab.ask("idle()")
        numbers = tab.ask("numbers()")
    if numbers != list(range(1, total + 1)):
        site.faults.append(f"{script.kind}: {total} marks were sent and {len(numbers)} are shown.")
    return Answer(seen, others)


def _press(tab: Tab, keys: int) -> None:
    box = tab.page.get_by_label("Message", exact=True)
    if keys:
        box.focus()
    for _ in range(keys):
        tab.press("k")
        tab.rest(_BETWEEN_KEYS)


def _at(values: Sequence[float], share: float) -> float:
    """The value that this share of the values is not above; -1 where there is none."""
    if not values:
        return -1.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
