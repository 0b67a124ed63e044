"""A provider that sends the exact bytes of a case, with its pauses and cuts, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from tests.fake_provider import End, HttpServer, Raw, Reply, Request, Step
from tests.providers.body import as_bytes, filled, whole
from tests.providers.case import Answer, Case, When
from tests.providers.case import Step as CaseStep

_MISSING: Final = object()


def messages(request: Request) -> list[Any]:
    """The conversation; empty for requests without one."""
    body = request.body if isinstance(request.body, dict) else {}
    return body.get("messages") or body.get("input") or []


def field(request: Request, name: str, default: Any = _MISSING) -> Any:
    """A field of the body, by its names and its places in lists, from outside to inside."""
    value = request.body
    for part in name.split("."):
        try:
            value = value[int(part) if isinstance(value, list) else part]
        except (LookupError, TypeError, ValueError):
            return default
    return value


def has(request: Request, name: str) -> bool:
    """Whether the body has the field."""
    return field(request, name) is not _MISSING


def fits(request: Request, when: When) -> bool:
    """Whether every condition holds."""
    bare, _, query = request.target.partition("?")
    path = request.target if "?" in when.path else bare
    roles = [message.get("role") for message in messages(request)]
    return all(
        (
            not when.path or path.endswith(when.path),
            when.query in query,
            not when.method or request.method == when.method,
            not when.field or has(request, when.field),
            not (when.no_field and has(request, when.no_field)),
            not when.header or when.header in request.headers,
            not (when.no_header and when.no_header in request.headers),
            not when.last_role or roles[-1:] == [when.last_role],
            not when.role or when.role in roles,
            when.alternates is None or when.alternates == alternates(roles),
        )
    )


def alternates(roles: list[str]) -> bool:
    """Whether user and assistant take turns and the user is first, after a system message."""
    turns = roles[1:] if roles[:1] == ["system"] else roles
    return all(role == ("user", "assistant")[at % 2] for at, role in enumerate(turns))


class RawProvider(HttpServer):
    """The server of one case.

    Attributes:
        requests: all that came, in order.
        unanswered: requests that no answer of the case is for.
        values: what `@{NAME}` stands for, see `body.filled`.
    """

    def __init__(self, case: Case, values: Mapping[str, str]) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.unanswered: list[Request] = []
        self.values = dict(values)
        self._rules = [answer for answer in case.answer if answer.when is not None]
        self._row = [answer for answer in case.answer if answer.when is None]

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.values["port"] = str(self.port)
        return self

    async def reply(self, request: Request) -> Reply:
        """What a request gets."""
        self.requests.append(request)
        answer = self._answer_to(request)
        await asyncio.sleep(answer.wait)
        headers = {name: filled(value, self.values) for name, value in answer.headers.items()}
        return Reply(
            status=answer.status,
            media_type=answer.type,
            headers=headers,
            framing=answer.framing,
            length=len(whole(answer, self.values)),
            head=answer.head,
            steps=_steps(answer, self.values),
        )

    def _answer_to(self, request: Request) -> Answer:
        for answer in self._rules:
            if answer.when is not None and fits(request, answer.when):
                return answer
        if not self._row:
            self.unanswered.append(request)
            return Answer(status=404, body="")
        return self._row.pop(0) if len(self._row) > 1 else self._row[0]


def _steps(answer: Answer, values: Mapping[str, str]) -> Iterator[Step]:
    for step in answer.steps:
        if isinstance(step, str):
            yield as_bytes(filled(step, values))
        else:
            yield from _special(step, values)


def _special(step: CaseStep, values: Mapping[str, str]) -> Iterator[Step]:
    yield float(step.pause)
    piece = as_bytes(filled(step.repeat, values))
    if piece and not step.every:
        yield piece * step.times
    elif piece:
        for _ in range(step.times):
            yield step.every
            yield piece
    if step.raw:
        yield Raw(as_bytes(step.raw))
    for ends, end in ((step.reset, End.RESET), (step.end, End.CLOSE), (step.hang, End.HANG)):
        if ends:
            yield end
