"""The AI SDK's requests: from the body of `POST /api/chat` to what the server needs of it.

Source: `HttpChatTransport` of `ai` 7 (`{id, messages, trigger, messageId, ...body}`). The body is
the client's view and is not trusted: of all its messages only the new one is taken, and only text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import valid_id

#: The response headers of a UI message stream, as the SDK's own server sends them.
STREAM_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
    "x-content-type-options": "nosniff",
}

_ID_HINT = "1 to 128 letters, digits and . _ : ~ -, beginning with a letter or a digit"


class Send(Struct, frozen=True, kw_only=True):
    """What a client asks for.

    Attributes:
        chat_id: the chat.
        place: as in `store.Order`: `follow`, `edit` or `again`.
        anchor: the message that `place` refers to, or None.
        edited: for `again`, the id that `anchor` has here if the client edited it: `useChat` keeps
            the old one. To be tried first.
        message_id, text: the new user message; None and "" for `again`.
        content: a fingerprint of the message's content.
        model: the model asked for, or None.
    """

    chat_id: str
    place: Literal["follow", "edit", "again"]
    anchor: str | None
    message_id: str | None
    text: str
    content: str
    model: str | None
    edited: str | None = None

    def body(self) -> bytes:
        """The user message as a `UIMessage`, as JSON."""
        message = {
            "id": self.message_id,
            "role": "user",
            "parts": [{"type": "text", "text": self.text}],
        }
        return msgspec.json.encode(message)


class _Body(Struct, rename="camel"):
    id: str
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messages: list[Raw] | None = None
    message: Raw = Raw()  # a union with None would not be kept raw
    message_id: str | None = None
    parent_id: str | None = None
    model: str | None = None


class _Part(Struct):
    type: str
    text: str | UnsetType = UNSET


class _Message(Struct):
    id: str
    role: str
    parts: list[_Part]


class _Named(Struct):
    id: str


T = TypeVar("T")

_decode_body = msgspec.json.Decoder(_Body).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_named = msgspec.json.Decoder(_Named).decode


def parse_send(data: bytes, *, max_text_bytes: int) -> Send:
    """Read the body of a send, an edit or a regeneration.

    Args:
        data: the body.
        max_text_bytes: the longest message taken, in UTF-8 bytes.

    Raises:
        InvalidRequest: it says what to change.
    """
    body = _decoded(_decode_body, data)
    if not valid_id(body.id):
        raise InvalidRequest(f"The chat id is not usable. Use {_ID_HINT}.")
    if body.trigger == "regenerate-message":
        return _again(body)
    message = _new_message(body)
    text = _text(message, max_text_bytes)
    content = _fingerprint(text)
    if body.message_id is None:
        return Send(
            chat_id=body.id,
            place="follow",
            anchor=body.parent_id or _last_id((body.messages or [])[:-1]),
            message_id=message.id,
            text=text,
            content=content,
            model=body.model,
        )
    return Send(
        chat_id=body.id,
        place="edit",
        anchor=body.message_id,
        message_id=_edited_id(message.id, body.message_id, content),
        text=text,
        content=content,
        model=body.model,
    )


def _again(body: _Body) -> Send:
    anchor = body.message_id or _last_id(body.messages)
    edited = None
    if anchor is not None and body.messages:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            last = _decode_message(body.messages[-1])
            if last.id == anchor and last.role == "user":
                text = "".join(part.text for part in last.parts if isinstance(part.text, str))
                edited = _edited_id(anchor, anchor, _fingerprint(text))
    return Send(
        chat_id=body.id,
        place="again",
        anchor=anchor,
        message_id=None,
        text="",
        content=_fingerprint(anchor or ""),
        model=body.model,
        edited=edited,
    )


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _edited_id(message_id: str, edited: str, content: str) -> str:
    """The new version's id. `useChat` keeps the old one, so it is made from what was written."""
    return message_id if message_id != edited else f"{edited[:100]}~{content[:12]}"


def _new_message(body: _Body) -> _Message:
    raw = body.message
    if bytes(raw) in (b"", b"null") and body.messages:
        raw = body.messages[-1]
    if not bytes(raw):
        raise InvalidRequest("There is no message. Send `messages` or `message`.")
    message = _decoded(_decode_message, raw, "message")
    if message.role != "user":
        raise InvalidRequest(
            f"Only messages with the role `user` are accepted, not `{message.role[:32]}`."
        )
    if not valid_id(message.id):
        raise InvalidRequest(f"The message's id is not usable. Use {_ID_HINT}.")
    return message


def _text(message: _Message, max_bytes: int) -> str:
    for part in message.parts:
        if part.type != "text" or part.text is UNSET:
            raise InvalidRequest(
                f"Only text can be sent, not a part of type `{part.type[:32]}`. Leave it out."
            )
    text = "".join(part.text for part in message.parts if isinstance(part.text, str))
    if not text.strip():
        raise InvalidRequest("The message is empty. Write something.")
    if len(text.encode()) > max_bytes:
        raise InvalidRequest(
            f"The message is longer than {max_bytes} bytes. Shorten it or send it in parts."
        )
    return text


def _last_id(messages: Sequence[Raw] | None) -> str | None:
    if not messages:
        return None
    return _decoded(_decode_named, messages[-1], "message").id


def _decoded(decode: Callable[[bytes | Raw], T], data: bytes | Raw, what: str = "body") -> T:
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The {what} has not the expected form: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The {what} is not JSON: {error}.") from error
