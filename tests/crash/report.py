"""The outcome of a campaign: counts for a table and a file, and the trace of every violation."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_llm_streams.chunks import RESET_STEP
from tests.crash.reader import longest_gap
from tests.crash.trace import Trace
from tests.oracle.evidence import Log
from tests.oracle.violation import Violation
from tests.oracle.writing_rules import late_records

if TYPE_CHECKING:
    from tests.crash.workload import Chat

#: What docs/guarantees.md quotes of a campaign; the rest is in its file.
_QUOTED = (
    "kills",
    "planned ends",
    "thaws after more than a lease",
    "zombies: thaws of servers that had lost a run",
    "store kills",
    "store freezes",
    "store cuts",
    "answers finished",
    "answers stopped",
    "answers failed",
    "takeovers and hand-overs (epochs)",
    "events compared with records",
    "records of an old epoch behind a newer claim",
)

_GAP = "seconds without an event, of a reader, at the most"
_DELAY = "seconds behind another reader, at the most"
_BEFORE, _AFTER = 15, 5
_MOST = 5
_CHUNK = 160


@dataclass
class Outcome:
    """What came of a campaign over one store."""

    store: str
    setup: str
    counts: Counter[str]
    violations: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        return [*self.violations, *self.others]

    def add(self, chat: Chat) -> None:
        """Count a chat that has been judged."""
        evidence, counts = chat.evidence, self.counts
        for answer in evidence.answers.values():
            epochs = len(answer.log.spans)
            counts[f"answers {answer.run.status}"] += 1
            counts["takeovers and hand-overs (epochs)"] += max(0, epochs - 1)
            counts["answers of more than one epoch"] += epochs > 1
            counts["most epochs of an answer"] = max(counts["most epochs of an answer"], epochs)
            counts["records"] += len(answer.log.records)
            resets = answer.log.records.count(RESET_STEP)
            counts["answers that went on without a reset"] += epochs > 1 and not resets
            counts["answers with a reset"] += resets > 0
            late = late_records(answer.log)
            counts["records of an old epoch behind a newer claim"] += len(late)
        readings = evidence.readings
        counts["readers"] += len(readings)
        counts["requests of readers"] += sum(each.requests for each in readings)
        counts["readers that left and came back"] += sum(each.left for each in chat.readers)
        counts["events compared with records"] += sum(len(each.frames) for each in readings)
        gaps, delays = map(longest_gap, readings), (each.delay for each in readings)
        for name, waits in ((_GAP, gaps), (_DELAY, delays)):
            self.waits[name] = max(self.waits.get(name, 0.0), *waits, 0.0)

    def as_json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "setup": self.setup,
            "seconds": round(self.seconds, 1),
            **{name: round(seconds, 2) for name, seconds in self.waits.items()},
            "counts": dict(sorted(self.counts.items())),
            "violations": self.wrong,
        }


def story(violations: Sequence[Violation], chat: Chat, trace: Trace, log: Log | None = None) -> str:
    """All that helps to understand a violation."""
    lines = [str(violation) for violation in violations[:_MOST]]
    lines.append(f"  in {chat.name} of {chat.owner.name}: {chat.plan}")
    logs = {run_id: answer.log for run_id, answer in chat.evidence.answers.items()}
    for name, each in (logs if log is None else {"now": log}).items():
        lines.append(f"  log {name}, spans {[(span.first, *span.epoch) for span in each.spans]}")
        lines += _around(each, violations[0].record or len(each.records))
    lines += [
        f"  {reading.who}: from {reading.after}, {len(reading.frames)} events, last "
        f"{reading.cursor}, statuses {reading.statuses}"
        for reading in chat.evidence.readings
    ]
    lines.append("  what happened:")
    lines += [f"    {entry.at:8.2f} {entry.what}" for entry in trace.since(chat.began)]
    return "\n".join(lines)


def _around(log: Log, number: int) -> list[str]:
    """The records around one of them, each with its epoch."""
    first = max(1, number - _BEFORE)
    return [
        f"  {at:5} epoch {log.spans[log.span_of(at)].epoch.number}: {record.decode()[:_CHUNK]}"
        for at, record in enumerate(log.records[first - 1 : number + _AFTER], first)
    ]


def table(outcomes: Sequence[Outcome]) -> str:
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
    return "\n".join([*(f"{each.store}: {each.setup}" for each in outcomes), "", *lines])


def write(path: Path, options: dict[str, Any], parts: Sequence[dict[str, Any]]) -> None:
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    whole = sum((Counter(part["counts"]) for part in parts), Counter())
    names = {name for part in parts for name in part["counts"]}
    words = " ".join(f"--{name} {options[name]}" for name in ("kills", "every", "seed"))
    report = {
        "command": f"make crash ARGS='{words}'",
        "counts": {
            **{name: whole[name] for name in _QUOTED if name in names},
            "promises broken": sum(len(part["violations"]) for part in parts),
        },
        "options": options,
        "machine": machine,
        "parts": list(parts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
