"""Replies of the scripts, as values and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from durable_llm_streams.errors import (
    ChatBusy,
    ChatNotFound,
    DurableError,
    Fenced,
    KeyConflict,
    MessageConflict,
    MessageNotFound,
    NotAQuestion,
    QueueFull,
    RunNotFound,
    SequenceMismatch,
    TooManyRuns,
)
from durable_llm_streams.model import Chat, Claim, Epoch, Message, Run, Span, Status

from .charges import from_text
from .client.connection import pairs
from .partitions import chat_of_name

Version = tuple[str, str | None, str]

_REFUSALS: Mapping[bytes, Callable[[Any], DurableError]] = {
    b"busy": lambda run: ChatBusy(run.decode()),
    b"chat-not-found": lambda _: ChatNotFound(),
    b"fenced": lambda _: Fenced(),
    b"key-conflict": lambda _: KeyConflict(),
    b"message-conflict": lambda _: MessageConflict(),
    b"message-not-found": lambda _: MessageNotFound(),
    b"mismatch": SequenceMismatch,
    b"not-a-question": lambda _: NotAQuestion(),
    b"queue-full": QueueFull,
    b"run-not-found": lambda _: RunNotFound(),
    b"too-many-runs": TooManyRuns,
}


def accepted(reply: Sequence[Any]) -> Sequence[Any]:
    """A reply without its first element. If that is a refusal, raises its error."""
    refusal = _REFUSALS.get(reply[0])
    if refusal is not None:
        raise refusal(reply[1] if len(reply) > 1 else None)
    return reply[1:]


def run_from(reply: Sequence[Any]) -> Run:
    """A run from {run, fields, next}."""
    run_id, flat, *_ = reply
    fields = {name.decode(): value.decode() for name, value in pairs(flat)}
    started, ended = fields.get("started"), fields.get("ended")
    owner, chat_id = chat_of_name(fields["chat"])
    return Run(
        id=run_id.decode(),
        owner=owner,
        chat_id=chat_id,
        prompt_id=fields["prompt"],
        message_id=fields["answer"],
        model=fields["model"],
        status=Status(fields["status"]),
        created_at=int(fields["created"]),
        key=fields["key"] or None,
        epoch=Epoch(int(fields["epoch"]), fields["token"]),
        takeovers=int(fields["takeovers"]),
        spans=spans_from(fields["spans"]),
        started_at=None if started is None else int(started),
        ended_at=None if ended is None else int(ended),
        charges=from_text(fields.get("charges")),
        reservations=int(fields.get("reservations", 0)),
    )


def claim_from(reply: Sequence[Any]) -> Claim:
    """A claim from {run, fields, next}."""
    run = run_from(reply)
    return Claim(run, run.epoch, reply[2])


def spans_from(text: str) -> tuple[Span, ...]:
    """Spans from `FIRST:NUMBER:TOKEN FIRST:NUMBER:TOKEN`."""
    spans = []
    for span in text.split():
        first, number, token = span.split(":")
        spans.append(Span(int(first), Epoch(int(number), token)))
    return tuple(spans)


def writer(epoch: Epoch) -> str:
    """An epoch as the scripts compare it: `NUMBER.TOKEN`."""
    return f"{epoch.number}.{epoch.token}"


def chat_from(reply: Sequence[Any]) -> Chat:
    """A chat from {chat, owner, title, created, updated, head, active run}."""
    id_, owner, title, created, updated, head, active = (
        part if isinstance(part, str) else part.decode() for part in reply
    )
    return Chat(
        id=id_,
        owner=owner,
        title=title,
        created_at=int(created),
        updated_at=int(updated),
        head=head or None,
        active_run=active or None,
    )


def versions_from(flat: Sequence[bytes]) -> list[Version]:
    """Versions from a flat list of id and tree entry."""
    versions: list[Version] = []
    for id_, entry in pairs(flat):
        role, parent, _, _ = entry.decode().split("|")
        versions.append((id_.decode(), parent or None, role))
    return versions


def messages_from(flat: Sequence[bytes]) -> list[Message]:
    """Messages from a flat list of id, tree entry and body."""
    messages = []
    for id_, entry, body in zip(*[iter(flat)] * 3, strict=True):
        role, parent, created, run = entry.decode().split("|")
        messages.append(
            Message(
                id=id_.decode(),
                parent=parent or None,
                role=role,
                body=body,
                created_at=int(created),
                run_id=run or None,
            )
        )
    return messages
