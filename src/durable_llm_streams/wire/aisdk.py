"""The AI SDK's requests: parses the body of `POST /api/chat`.

Source: `HttpChatTransport` of `ai` 7 (`{id, messages, trigger, messageId, ...body}`). The body is
the client's view and is not trusted: only its new message is used, and only text.
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

from . import sse
from .surrogates import decode_mended

#: The response headers of a UI message stream, as the SDK's own server sends them.
STREAM_HEADERS = {**sse.HEADERS, "x-vercel-ai-ui-message-stream": "v1"}

_ID_HINT = "1 to 128 letters, digits and . _ : ~ -, beginning with a letter or a digit"


class Reading(Struct, frozen=True, kw_only=True):
    """One interpretation of a client's request.

    Attributes:
        place: as in `store.Order`: `follow`, `edit` or `again`.
        anchor: the message that `place` refers to, or None.
        message_id, text: the new user message; None and "" for `again`.
        content: a fingerprint of the request.
    """

    place: Literal["follow", "edit", "again"]
    anchor: str | None
    message_id: str | None = None
    text: str = ""
    content: str

    def body(self) -> bytes:
        """The user message as a `UIMessage`, as JSON; empty for `again`."""
        if self.message_id is None:
            return b""
        message = {
            "id": self.message_id,
            "role": "user",
            "parts": [{"type": "text", "text": self.text}],
        }
        return msgspec.json.encode(message)


class Send(Struct, frozen=True, kw_only=True):
    """A client's request.

    Attributes:
        chat_id: the chat.
        model: the model, or None.
        shown: whether the client shows the branch of the answer from now on, even if the answer
            exists already (an edit back to an earlier text).
        readings: its interpretations, the most likely first; the first one that fits the chat
            counts. `useChat` does not know what arrived. It sends a lost message again as an edit
            of itself or as a regeneration, and gives an edited message the original's id.
    """

    chat_id: str
    model: str | None
    shown: bool
    readings: Sequence[Reading]


class History(Struct, frozen=True):
    """A client's own view of the conversation, without its new message.

    Attributes:
        messages: id and role of each; empty where the client sent only its new message.
        whole: whether the client sent its view.
    """

    messages: Sequence[tuple[str, str]]
    whole: bool

    def knows(self, question: str, answer: str) -> bool:
        """Whether the client knew of an unfinished answer when it sent the new message.

        Then its view holds the answer so far, or the question without an answer if nothing had
        arrived yet.

        Args:
            question: the id of the message that is being answered.
            answer: the id of the answer.
        """
        if any(id_ == answer for id_, _ in self.messages):
            return True
        followers = [role for _, role in self.messages[1:]] + ["user"]
        pairs = zip(self.messages, followers, strict=False)
        return any(id_ == question and after == "user" for (id_, _), after in pairs)


class _Body(Struct, rename="camel"):
    id: str
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messages: list[Raw] | None = None
    message: Raw = Raw()  # msgspec does not keep a union with None raw
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
    role: str = ""


_NO_MESSAGE = (b"", b"null")

T = TypeVar("T")

_decode_body = msgspec.json.Decoder(_Body).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_named = msgspec.json.Decoder(_Named).decode


def parse_send(data: bytes, *, max_text_bytes: int) -> Send:
    """Parse the body of a send, an edit or a regeneration.

    Args:
        data: the body.
        max_text_bytes: the longest accepted message, in UTF-8 bytes.

    Raises:
        InvalidRequest: the sentence says what to change.
    """
    body = _decoded(_decode_body, data)
    if not valid_id(body.id):
        raise InvalidRequest(f"The chat id is invalid. Use {_ID_HINT}.")
    again = body.trigger == "regenerate-message"
    readings = _again(body, max_text_bytes) if again else _new(body, max_text_bytes)
    return Send(
        chat_id=body.id,
        model=body.model,
        shown=not again and body.message_id is not None,
        readings=readings,
    )


def parse_history(data: bytes) -> History:
    """The client's view of the conversation, from the AI SDK's default body.

    Args:
        data: the body, which `parse_send` has accepted.
    """
    body = _decoded(_decode_body, data)
    whole = body.messages is not None and bytes(body.message) in _NO_MESSAGE
    messages = [_named(message) for message in (body.messages or [])[:-1]] if whole else []
    return History(messages, whole)


def _named(message: Raw) -> tuple[str, str]:
    with suppress(InvalidRequest):
        named = _decoded(_decode_named, message)
        return named.id, named.role
    return "", ""  # matches no message


def _new(body: _Body, max_text_bytes: int) -> list[Reading]:
    message = _new_message(body)
    text = _text(message, max_text_bytes)
    content = _fingerprint(text)
    before = body.parent_id or _last_id((body.messages or [])[:-1])
    new = Reading(place="follow", anchor=before, message_id=message.id, text=text, content=content)
    if body.message_id is None:
        return [new]
    edit = Reading(
        place="edit",
        anchor=body.message_id,
        message_id=_edited_id(message.id, body.message_id, content),
        text=text,
        content=content,
    )
    return [new, edit] if message.id == body.message_id else [edit]


def _again(body: _Body, max_text_bytes: int) -> list[Reading]:
    anchors: list[str | None] = [body.message_id or _last_id(body.messages)]
    readings = []
    with suppress(InvalidRequest):  # the client's question is needed only if the chat has none
        asked = _new_message(body)
        text = _text(asked, max_text_bytes)
        content = _fingerprint(text)
        here: list[str | None] = [_edited_id(asked.id, asked.id, content), asked.id]
        anchors = here if anchors == [asked.id] else [*anchors, *here]
        before = _last_id((body.messages or [])[:-1])
        readings.append(
            Reading(place="follow", anchor=before, message_id=asked.id, text=text, content=content)
        )
    again = (
        Reading(place="again", anchor=anchor, content=_fingerprint(anchor or ""))
        for anchor in anchors
    )
    return [*again, *readings]


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _edited_id(message_id: str, edited: str, content: str) -> str:
    """The new version's id, made from its content: `useChat` keeps the old message's id."""
    return message_id if message_id != edited else f"{edited[:100]}~{content[:12]}"


def _new_message(body: _Body) -> _Message:
    raw = body.message
    if bytes(raw) in _NO_MESSAGE and body.messages:
        raw = body.messages[-1]
    if not bytes(raw):
        raise InvalidRequest("There is no message. Send `messages` or `message`.")
    message = _decoded(_decode_message, raw, "message")
    if message.role != "user":
        raise InvalidRequest(
            f"Only messages with the role `user` are accepted, not `{message.role[:32]}`."
        )
    if not valid_id(message.id):
        raise InvalidRequest(f"The message's id is invalid. Use {_ID_HINT}.")
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


def _decoded(decode: Callable[[bytes], T], data: bytes | Raw, what: str = "body") -> T:
    try:
        return decode_mended(decode, bytes(data))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The {what} is invalid: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The {what} is not JSON: {error}.") from error
