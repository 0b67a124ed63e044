"""What is asked: ids in every way to write them, and whatever else could name what is Ann's."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from .routes import METHODS, Operation

_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")


class Victim(NamedTuple):
    """What belongs to the owner, as far as somebody may have learned it."""

    owner: str
    chat: str
    question: str
    answer: str
    active: str
    ended: str
    active_cursor: str
    ended_cursor: str
    position: str
    page: str


class Asked(NamedTuple):
    """A request without its identity."""

    method: str
    address: str
    headers: Mapping[str, str]
    body: bytes


def forms(victim: Victim) -> list[str]:
    """Ways to write the chat's id into a path, all percent-encoded as far as they must be."""
    chat, owner = victim.chat, quote(victim.owner, safe="")
    first = f"%{ord(chat[0]):02x}"
    return [
        chat, first + chat[1:], "".join(f"%{ord(c):02X}" for c in chat),
        f"%25{first[1:]}{chat[1:]}",
        chat.upper(), chat.title(), f"./{chat}", f"../chats/{chat}", f"x/../{chat}", f"{chat}/.",
        f"{chat}/", f"/{chat}", f"{chat}//", f"%2e/{chat}", f"%2e%2e%2f{chat}", f"{chat}%2f",
        f"{chat}%00", f"{chat}%20", f"%0a{chat}", f"{chat};x=1", f"{chat}%3f", f"{chat}%23",
        quote(chr(ord(chat[0]) + 0xFEE0) + chat[1:]), quote(chat[0] + "\u0301" + chat[1:]),
        f"{chat}%e2%80%8b",
        f"{chat}%c0%80", f"{owner}/{chat}", f"{owner}%2f{chat}", f"{owner}:{chat}",
        f"%5c{chat}", "*", "%25", chat[:-1] + "_", chat[:-1] + "?", f"{chat},{chat}",
        f'"{chat}"', f"[{chat}]", "null", "undefined", "-1", "%2e", "%2e%2e", "a" * 128,
        "a" * 129, "a" * 5000, victim.active, victim.ended, victim.answer,
    ]  # fmt: skip


def queries(victim: Victim) -> list[tuple[str, Mapping[str, str]]]:
    """Query strings and headers that name what is the owner's."""
    first, _, last = victim.active_cursor.partition(".")
    places = [victim.active_cursor, victim.ended_cursor, f"{victim.ended}.00000000."]
    return [
        ("", {}),
        *((f"?after={place}", {}) for place in (*places, f"{first.upper()}.{last}", first)),
        *(("", {"last-event-id": place}) for place in (*places, victim.position)),
        *((f"?run={run}", {}) for run in (victim.active, victim.ended, "%2a", "")),
        *((f"?leaf={leaf}", {}) for leaf in (victim.answer, victim.question)),
        (f"?after={victim.position}", {}),
        (f"?before={victim.page}&q=", {}),
        ("?q=S3CRET&limit=100", {}),
        (f"?owner={quote(victim.owner)}&id={victim.chat}&chat={victim.chat}", {}),
    ]


def bodies(victim: Victim, chat: str) -> list[tuple[bytes, Mapping[str, str]]]:
    """Bodies, with their headers, that name a chat: messages, edits, regenerations, titles."""
    own: dict[str, Any] = {"id": "own", "role": "user", "parts": [{"type": "text", "text": "Hm"}]}
    taken = {**own, "id": victim.question}
    documents: list[dict[str, Any]] = [
        {"title": "Taken"},
        {"id": chat, "message": own},
        {"id": chat, "message": taken},
        {"id": chat, "messages": [taken], "trigger": "submit-message",
         "messageId": victim.question},
        {"id": chat, "messages": [], "trigger": "regenerate-message", "messageId": victim.answer},
        {"id": chat, "messages": [taken], "trigger": "regenerate-message"},
        {"everywhere": True, "owner": victim.owner},
        {"token": victim.chat, "owner": victim.owner},
        {"id": chat, "owner": victim.owner, "run": victim.active, "title": "Taken"},
    ]  # fmt: skip
    plain: list[tuple[bytes, Mapping[str, str]]] = [
        (json.dumps(document).encode(), {}) for document in documents
    ]
    with_key = (plain[2][0], {"idempotency-key": "k1"})
    return [*plain, with_key, (plain[1][0], {"last-event-id": victim.active_cursor})]


def asked(operations: set[Operation], victim: Victim) -> Iterator[Asked]:
    """Every request of the matrix, whoever sends it.

    The plain id meets every query and body; each other way to write it meets one of them, in turn.
    A method that a route does not have gets the first few forms.
    """
    turns = itertools.count()
    paths = sorted({operation.path for operation in operations})
    for path, method in itertools.product(paths, METHODS):
        operation = Operation(method, path)
        places = forms(victim) if operation.parameters or path == "/api/chat" else [victim.chat]
        is_refused = operation not in operations
        for place in places[:3] if is_refused else places:
            address = place.join(re.split(r"\{\w+(?::\w+)?\}", path))
            in_turn = is_refused or place != victim.chat
            yield from _some(method, address, victim, place, turns if in_turn else None)


def _some(
    method: str, address: str, victim: Victim, place: str, turns: Iterator[int] | None
) -> Iterator[Asked]:
    with_query = queries(victim)
    with_body = bodies(victim, place) if method in _WITH_BODY else [(b"", {})]
    if turns is not None:
        turn = next(turns)
        with_query = [with_query[turn % len(with_query)]]
        with_body = [with_body[turn % len(with_body)]]
    elif method in _WITH_BODY:
        with_query = with_query[:: 1 if address.endswith("/stop") else 4]
    for (query, more), (body, headers) in itertools.product(with_query, with_body):
        yield Asked(method, address + query, {**more, **headers}, body)
