"""What came of a campaign: counts for a table and a file, and the story of every violation."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crash.chronicle import Chronicle
from tests.crash.oracle import Violation, written
from tests.redis_faults.oracle import Log

if TYPE_CHECKING:
    from tests.crash.work import Chat

#: What the guarantees' page tells of a campaign; the rest is in its file.
_TOLD = (
    "kills",
    "planned ends",
    "thaws after more than a lease",
    "zombies: thaws of who had lost a run",
    "store kills",
    "store freezes",
    "answers finished",
    "answers stopped",
    "answers failed",
    "takeovers and hand-overs (epochs)",
    "events compared with records",
    "records of an old epoch behind a newer claim",
    "races of a stop against writes",
    "records after a stop",
)

_GAP = "seconds without an event, of a reader, at the most"
_DELAY = "seconds behind another reader, at the most"
_BEFORE, _AFTER = 15, 5
_MOST = 5
_CHUNK = 160


@dataclass
class Outcome:
    """What came of a campaign over one store.

    Attributes:
        store: its name.
        head: how the servers stood.
        counts: how often each thing happened.
        violations: a story for each chat in which something was broken.
        others: what was wrong with servers, or left in the store.
        waits: the longest ones, of whoever read, in seconds.
        seconds: how long it took.
    """

    store: str
    head: str
    counts: Counter[str]
    violations: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Everything that was wrong."""
        return [*self.violations, *self.others]

    def add(self, chat: Chat, *, late: int) -> None:
        """Count a chat that has been judged."""
        case, counts = chat.case, self.counts
        assert case is not None
        counts[f"answers {case.run.status}"] += 1
        counts["takeovers and hand-overs (epochs)"] += max(0, len(case.log.spans) - 1)
        counts["answers of more than one epoch"] += len(case.log.spans) > 1
        counts["most epochs of an answer"] = max(
            counts["most epochs of an answer"], len(case.log.spans)
        )
        counts["readers"] += len(chat.readers)
        counts["requests of readers"] += sum(reader.requests for reader in chat.readers)
        counts["readers who left and came back"] += sum(reader.left for reader in chat.readers)
        counts["records"] += len(case.log.records)
        counts["events compared with records"] += sum(len(each.frames) for each in case.readers)
        counts["records of an old epoch behind a newer claim"] += late
        gaps = [reader.longest_gap() for reader in chat.readers if len(reader.came) > 1]
        delays = [each.delay for each in case.readers]
        for name, waits in ((_GAP, gaps), (_DELAY, delays)):
            self.waits[name] = max(self.waits.get(name, 0.0), *waits, 0.0)

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "store": self.store,
            "head": self.head,
            "seconds": round(self.seconds, 1),
            **{name: round(seconds, 2) for name, seconds in self.waits.items()},
            "counts": dict(sorted(self.counts.items())),
            "violations": self.wrong,
        }


def story(
    violations: Sequence[Violation], chat: Chat, chronicle: Chronicle, log: Log | None = None
) -> str:
    """Everything that helps to understand what went wrong in a chat.

    Args:
        violations: what was broken, at least one.
        chat: where.
        chronicle: what happened meanwhile.
        log: the log, where it is not the one that was judged.
    """
    case = chat.case
    lines = [f"{violation.promise}: {violation.what}" for violation in violations[:_MOST]]
    lines.append(f"  in {chat.name}: {chat.plan}")
    if case is not None:
        lines.append(f"  run: {case.run}")
        log = log or case.log
    if log is not None:
        lines.append(f"  spans: {[(span.first, *span.epoch) for span in log.spans]}")
        lines += _around(log, violations[0].record or len(log.records))
    lines += [
        f"  {reader.name}: from {reader.start}, {len(reader.frames)} events, last "
        f"{reader.frames[-1].id if reader.frames else None}, statuses {reader.statuses}"
        for reader in chat.readers
    ]
    lines.append("  what happened:")
    entries = chronicle.between(chat.began, chronicle.now)
    lines += [f"    {entry.at:8.2f} {entry.what}" for entry in entries]
    return "\n".join(lines)


def _around(log: Log, number: int) -> list[str]:
    """The records around one of them, each with its epoch."""
    return [
        f"  {record.number:5} epoch {log.spans[record.span].epoch.number}: "
        f"{json.dumps(record.chunk)[:_CHUNK]}"
        for record in written(log)[max(0, number - _BEFORE) : number + _AFTER]
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """The counts side by side."""
    names = sorted({name for outcome in outcomes for name in outcome.counts})
    width = max(len(name) for name in [*names, _GAP, _DELAY]) + 2
    rows = [("", *(outcome.store for outcome in outcomes))]
    rows += [(name, *(f"{outcome.counts[name]:,}" for outcome in outcomes)) for name in names]
    rows += [
        *(
            (name, *(f"{outcome.waits.get(name, 0.0):.1f} s" for outcome in outcomes))
            for name in outcomes[0].waits
        ),
        ("duration", *(f"{outcome.seconds:.0f} s" for outcome in outcomes)),
        ("VIOLATIONS", *(str(len(outcome.wrong)) for outcome in outcomes)),
    ]
    lines = ["".join([row[0].ljust(width), *(cell.rjust(12) for cell in row[1:])]) for row in rows]
    return "\n".join([*(f"{each.store}: {each.head}" for each in outcomes), "", *lines])


def write(path: Path, options: dict[str, Any], parts: Sequence[dict[str, Any]]) -> None:
    """Keep a report."""
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    whole = sum((Counter(part["counts"]) for part in parts), Counter())
    names = {name for part in parts for name in part["counts"]}
    given = [name for name in ("kills", "every", "count", "seed") if name in options]
    words = " ".join([options["what"], *(f"--{name} {options[name]}" for name in given)])
    report = {
        "command": f"make crash ARGS='{words}'",
        "counts": {
            **{name: whole[name] for name in _TOLD if name in names},
            "promises broken": sum(len(part["violations"]) for part in parts),
        },
        "options": options,
        "machine": machine,
        "parts": list(parts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
