"""One table from the exception tree to problem documents, without a hole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from durable_llm_streams import errors
from durable_llm_streams.server import problems

Kind = type[errors.DurableError]

#: Not logged as errors: they are planned, or a client's doing.
QUIET = (errors.ShuttingDown, errors.Overload)

STATUSES = {
    name: status
    for status, names in {
        400: "InvalidRequest InvalidCursor InvalidPageToken InvalidSetting NotAQuestion",
        401: "Unauthenticated",
        404: "NotFound ChatNotFound MessageNotFound RunNotFound",
        409: "Conflict ChatBusy MessageConflict KeyConflict Fenced SequenceMismatch",
        410: "CursorLost",
        413: "TooLarge MessageTooLong",
        415: "UnsupportedMediaType",
        429: "LimitReached BudgetSpent TooManyStreams TooManyRuns TooManyVisitors",
        500: "DurableError ModelError",
        503: "StoreError StoreUnavailable StoreClosed StoreLocked StoreUnusable ShuttingDown "
        "Overload QueueFull",
    }.items()
    for name in names.split()
}


def every_kind(root: Kind = errors.DurableError) -> Iterator[Kind]:
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ in (errors.__name__, problems.__name__):
            yield from every_kind(kind)


def made(kind: Kind) -> errors.DurableError:
    arguments: dict[Kind, tuple[Any, ...]] = {
        errors.ChatBusy: ("run1",), errors.SequenceMismatch: (7,), errors.CursorLost: (),
        errors.MessageTooLong: (9, 7),
        errors.LimitReached: ("messages", 30, 12.5),
        errors.TooManyStreams: ("streams", 3, 5.0),
        errors.BudgetSpent: ("tokens", 900, None),
        errors.Overload: (7,), errors.TooManyRuns: (7,), errors.QueueFull: (7,),
        errors.TooManyVisitors: (7, 9),
    }  # fmt: skip
    return kind(*arguments.get(kind, ("A sentence.",)))


def test_every_error_is_in_this_table() -> None:
    assert {kind.__name__ for kind in every_kind()} == set(STATUSES)


@pytest.mark.parametrize("kind", list(every_kind()))
def test_every_error_is_a_problem_document(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    response = problems.from_error(made(kind))
    failed = STATUSES[kind.__name__] >= 500 and not issubclass(kind, QUIET)
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert logged == ([("ERROR", str(made(kind)))] if failed else [])
    document = json.loads(bytes(response.body))
    assert response.status_code == document["status"] == STATUSES[kind.__name__]
    assert response.headers["content-type"] == "application/problem+json"
    assert document["type"].startswith("urn:durable-llm-streams:")
    assert document["title"]
    assert document["detail"].endswith(".")
    if not issubclass(kind, errors.StoreError):
        assert document["detail"] == str(made(kind))
    assert document.get("run") == ("run1" if kind is errors.ChatBusy else None)
    later = response.status_code in (429, 503) and kind is not errors.BudgetSpent
    assert ("retry-after" in response.headers) == later


def test_a_new_kind_of_error_is_what_its_base_is() -> None:
    class Odd(errors.RunNotFound):
        pass

    assert problems.from_error(Odd("There is none.")).status_code == 404


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize("kind", list(every_kind(errors.StoreError)))
def test_store_errors_are_not_revealed_to_clients(kind: Kind) -> None:
    response = problems.from_error(kind("The store /home/you/chats.db is full (disk I/O error)."))
    body = bytes(response.body)
    assert not any(word in body for word in (b"chats.db", b"/home", b"I/O")), body
