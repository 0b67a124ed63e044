"""Compares what came of a case with what its file expects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from durable_llm_streams.providers.failures.meanings import MEANINGS
from tests.fake_provider import Request
from tests.providers.case import CORPUS, Case, Expect, name_of
from tests.providers.case import Asked as ExpectedRequest
from tests.providers.raw_provider import field, has, messages
from tests.providers.walk import Outcome

_ABSENT: Final = "(absent)"


def differences(expect: Expect, got: Outcome) -> dict[str, tuple[Any, Any]]:
    """What is not as expected, by its name in the file: (expected, observed)."""
    found: dict[str, tuple[Any, Any]] = {"requests": (expect.requests, len(got.requests))}
    for each in got.unanswered:
        found[f"{each.method} {each.target}"] = ("an [[answer]] for it in the file", "none fits")
    if expect.status == "refused":
        found["status"] = ("refused", "taken" if got.status == 200 else "refused")
    else:
        found |= _answer(expect, got)
    for at, asked in enumerate(expect.request):
        if at < len(got.requests):
            for name, pair in _request(asked, got.requests[at]).items():
                found[f"request {at + 1}: {name}"] = pair
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def explained(path: Path, case: Case, found: Sequence[str]) -> str:
    """The message of a case that failed: its file, what differs, and how to run it alone."""
    place = path.relative_to(CORPUS.parents[2])
    run = f"pytest tests/providers -k {name_of(path).replace('/', ' and ')!r}"
    return "\n".join([f"{place}: {case.title}", *found, f"  alone: {run}"])


def _answer(expect: Expect, got: Outcome) -> dict[str, tuple[Any, Any]]:
    if got.status != 200:
        return {"status": (expect.status, f"HTTP {got.status}")}
    metadata = got.metadata
    found: dict[str, tuple[Any, Any]] = {
        "the fold of the stream": (got.message, got.folded),
        "status": (expect.status, metadata["status"]),
        "reasoning": (expect.reasoning, got.reasoning),
        "files": (expect.files, _pieces(expect.files, got.parts("file"), "mediaType", "url")),
        "sources": (
            expect.sources,
            _pieces(expect.sources, got.parts("source-url"), "url", "title"),
        ),
        "resets": (expect.resets, len(got.of("reset-step"))),
        "sentence": _sentence(expect, metadata.get("error", "")),
    }
    if expect.text is not None or expect.status == "failed":
        found["text"] = (expect.text or "", got.text)
    for part in expect.text_has:
        found[f"text_has {part!r}"] = (part, part if part in got.text else got.text)
    if expect.finish is not None:
        found["finish"] = (expect.finish, metadata.get("finishReason", _ABSENT))
    elif expect.status == "finished":
        found["finish"] = ("stop", metadata.get("finishReason", _ABSENT))
    if expect.rungs is not None:
        ladder = metadata.get("ladder", [{"rung": "first"}])
        found["rungs"] = (expect.rungs, [asked["rung"] for asked in ladder])
    for name, number in expect.usage.items():
        found[f"usage {name}"] = (number, metadata.get("usage", {}).get(name, _ABSENT))
    if expect.delay is not None:
        found["delay"] = _delay(expect.delay, got)
    return found


def _sentence(expect: Expect, got: str) -> tuple[str, str]:
    """The expected sentence may have words about the attempts before it."""
    expected = expect.sentence or (MEANINGS[expect.meaning].sentence if expect.meaning else "")
    return expected, expected if expected and expected in got else got


def _pieces(
    expected: list[str | list[str]], parts: list[dict[str, Any]], *names: str
) -> list[str | list[str]]:
    """The parts in the form in which the file gives them."""
    whole = [[part.get(name, "") for name in names] for part in parts]
    lists = [isinstance(each, list) for each in expected]
    return [values if any(lists[at : at + 1]) else values[0] for at, values in enumerate(whole)]


def _delay(limits: tuple[float, float], got: Outcome) -> tuple[Any, Any]:
    notices = [chunk["data"] for chunk in got.of("data-run")]
    delays = [notice["delay"] for notice in notices if notice.get("event") == "retry"]
    if delays and limits[0] <= delays[0] <= limits[1]:
        return limits, limits
    return limits, delays[:1]


def _request(expect: ExpectedRequest, got: Request) -> dict[str, tuple[Any, Any]]:
    contents = [message.get("content") for message in messages(got)]
    pairs: dict[str, tuple[Any, Any]] = {
        "path": (expect.path, got.target if not got.target.endswith(expect.path) else expect.path),
        "method": (expect.method or got.method, got.method),
        "roles": (expect.roles, [message.get("role") for message in messages(got)]),
        "contents": (expect.contents, contents),
        "first": (expect.first, contents[0] if contents else _ABSENT),
        "last": (expect.last, contents[-1] if contents else _ABSENT),
    }
    found = {name: pair for name, pair in pairs.items() if pair[0] is not None}
    for name, value in expect.headers.items():
        found[f"header {name}"] = (value, got.headers.get(name, _ABSENT))
    found |= {f"has {name}": (True, has(got, name)) for name in expect.has}
    found |= {f"lacks {name}": (False, has(got, name)) for name in expect.lacks}
    for name, value in expect.body.items():
        found[f"body {name}"] = (value, field(got, name, _ABSENT))
    return found
