"""The OpenAPI descriptions of parameters, bodies and answers.

The routes parse most of a request themselves, so that every refusal is a problem document with its
own sentence. What they accept is described here, with its limits. The tests generate valid and
invalid requests from these schemas, and compare the answers with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic.json_schema import SkipJsonSchema

from durable_llm_streams.model import CURSOR_PATTERN, ID_PATTERN, Status

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

MAX_KEY_LENGTH: Final = 200
MAX_TITLE_LENGTH: Final = 200
MAX_QUERY_LENGTH: Final = 200
MOST_CHATS: Final = 100
#: The token of a one-time link: 128 bits as base64url (RFC 4648, section 5) without padding.
LINK_RULE: Final = "^[A-Za-z0-9_-]{22}$"

_ID_RULE, _CURSOR_RULE = (
    "^" + rule.pattern.replace(r"\Z", "$") for rule in (ID_PATTERN, CURSOR_PATTERN)
)

#: A character that is not white space in Python, written so that it is the same in JavaScript.
_NOT_WHITE = r"[^\s\u001c-\u001f\u0085]|\ufeff"

_STRING: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
#: An empty cursor counts as none: browsers' `EventSource` has none before the first event.
_CURSOR_OR_NONE = f"^$|{_CURSOR_RULE}"
_ID: Schema = {"type": "string", "pattern": _ID_RULE}
_ID_OR_NULL: Schema = {"type": ["string", "null"], "pattern": _ID_RULE}


def _object(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": dict(properties)}


# --- parameters ----------------------------------------------------------------------------------

_CURSOR_TEXT = "A cursor: the id of the last event received. Only what comes after it is sent."
_POSITION_TEXT = "The id of the last event received. What came after it is sent first."

#: None if the parameter is absent; the document describes the text alone.
_Text = str | SkipJsonSchema[None]

After = Annotated[
    _Text, Query(description=_CURSOR_TEXT, json_schema_extra={"pattern": _CURSOR_OR_NONE})
]
AfterPosition = Annotated[_Text, Query(description=_POSITION_TEXT)]
RunId = Annotated[_Text, Query(description="Only this run, if it is the active one.")]
Leaf = Annotated[
    _Text,
    Query(
        description="Show the branch that this message is on.",
        json_schema_extra={"pattern": _ID_RULE},
    ),
]
Before = Annotated[_Text, Query(description="`next` of the page before, unchanged.")]
Limit = Annotated[
    int,
    Query(description="How many.", json_schema_extra={"minimum": 1, "maximum": MOST_CHATS}),
]
Search = Annotated[
    str,
    Query(
        description="Only chats with this in their title.",
        json_schema_extra={"maxLength": MAX_QUERY_LENGTH},
    ),
]


def _parameter(place: str, name: str, description: str, schema: Schema) -> Schema:
    return {
        "in": place,
        "name": name,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


_CHAT_ID = _parameter("path", "chat_id", "The chat's id, as its client named it.", _ID)
_LAST_EVENT_ID = "Last-Event-ID"

IN_A_CHAT: Schema = {"parameters": [_CHAT_ID]}
_FROM_CURSOR = _parameter(
    "header",
    _LAST_EVENT_ID,
    f"{_CURSOR_TEXT} It has precedence over `after`.",
    {"type": "string", "pattern": _CURSOR_OR_NONE},
)
FROM_A_CURSOR: Schema = {"parameters": [_CHAT_ID, _FROM_CURSOR]}
FROM_A_POSITION: Schema = {
    "parameters": [
        _parameter(
            "header", _LAST_EVENT_ID, f"{_POSITION_TEXT} It has precedence over `after`.", _STRING
        )
    ]
}


# --- bodies --------------------------------------------------------------------------------------


def _body(schema: Schema) -> Schema:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_PART = _object({"type": {"const": "text"}, "text": _STRING})
_MESSAGE: Schema = {
    **_object(
        {
            "id": _ID,
            "role": {"const": "user"},
            "parts": {"type": "array", "items": _PART, "minItems": 1},
        }
    ),
    "description": "A user's message, a `UIMessage` of the AI SDK: texts that are not all empty.",
}
_SEND: Schema = {
    **_object(
        {
            "id": {**_ID, "description": "The chat's id, made by the client."},
            "messages": {
                "type": "array",
                "description": "The conversation as the client has it. The last one is the new "
                "message, as in `message`. Of the one before, only the id is read; the others are "
                "ignored.",
            },
            "message": {
                "anyOf": [_MESSAGE, {"type": "null"}],
                "description": "The new message; it has precedence over `messages`.",
            },
            "trigger": {"enum": ["submit-message", "regenerate-message"]},
            "messageId": {
                "type": ["string", "null"],
                "description": "With `submit-message`: the user's message that is edited. With "
                "`regenerate-message`: the answer, or question, to answer again.",
            },
            "parentId": {
                "type": ["string", "null"],
                "description": "The message that `message` follows; null for the end of the chat.",
            },
            "model": {"type": ["string", "null"], "description": "One of `GET /api/models`."},
        },
        optional=("messages", "message", "trigger", "messageId", "parentId", "model"),
    ),
}
SENDING: Schema = {
    "parameters": [
        _parameter(
            "header",
            "Idempotency-Key",
            "A request with the same key is a duplicate: it makes no second run.",
            {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
        ),
        _FROM_CURSOR,
    ],
    **_body(_SEND),
}
RENAMING: Schema = {
    **IN_A_CHAT,
    **_body(
        _object(
            {
                "title": {
                    "type": "string",
                    "pattern": _NOT_WHITE,
                    "maxLength": MAX_TITLE_LENGTH,
                    "description": "White space is collapsed; there must be another character.",
                }
            }
        )
    ),
}


SIGNING_OUT: Schema = _body(
    _object(
        {
            "everywhere": {
                "type": "boolean",
                "default": False,
                "description": "Whether all browsers of this visitor are signed out.",
            }
        },
        optional=("everywhere",),
    )
)
USING_A_LINK: Schema = _body(_object({"token": {**_STRING, "pattern": LINK_RULE}}))


# --- answers -------------------------------------------------------------------------------------

_CHAT = _object(
    {
        "id": _ID,
        "title": _STRING,
        "created_at": _TIME,
        "updated_at": _TIME,
        "active": {"type": "boolean", "description": "Whether an answer is being written in it."},
    }
)
_ACTIVE_RUN = _object(
    {
        "id": _STRING,
        "message_id": {"type": "string", "description": "The answer that it writes."},
        "model": _STRING,
        "status": {"enum": [status.value for status in Status if not status.ended]},
        "cursor": {
            "type": "string",
            "pattern": _CURSOR_RULE,
            "description": "Follow the run after it: nothing is missed or repeated.",
        },
    }
)
_VERSION = _object(
    {"id": _STRING, "parent": _ID_OR_NULL, "role": {"enum": ["user", "assistant", "system"]}}
)
_UI_MESSAGE: Schema = {
    **_object(
        {
            "id": _STRING,
            "role": {"enum": ["user", "assistant", "system"]},
            "parts": {"type": "array", "items": {"type": "object"}},
            "metadata": {"type": "object"},
        },
        optional=("metadata",),
    ),
    "description": "A `UIMessage` of the AI SDK.",
}
_MODEL = _object(
    {
        "id": _STRING,
        "name": _STRING,
        "demo": {"type": "boolean", "description": "Whether it is the built-in demo."},
    },
    optional=("demo",),
)
_NULL: Schema = {"type": "null"}


def _json(description: str, schema: Schema) -> Responses:
    return {200: {"description": description, "content": {"application/json": {"schema": schema}}}}


def _events(description: str, kind: str) -> dict[str, Any]:
    """A stream of events, as in OpenAPI 3.2. Earlier tools see only the media type."""
    data = {
        "type": "string",
        "description": kind,
        "contentMediaType": "application/json",
    }
    event = _object(
        {"id": _STRING, "event": {"const": "message"}, "data": data}, optional=("id", "event")
    )
    return {"description": description, "content": {"text/event-stream": {"itemSchema": event}}}


def _links(**parameters: str) -> dict[str, Any]:
    """The operations on the chat of a request."""
    operations = ("follow_answer", "stop_answer", "get_chat", "rename_chat", "delete_chat")
    return {
        name: {"operationId": name, "parameters": {f"path.{k}": v for k, v in parameters.items()}}
        for name in operations
    }


_RUN_STREAM = {
    **_events(
        "The run's UI message stream; every event's id is a cursor.",
        "A chunk of the AI SDK's UI message stream; at the end `[DONE]`, without an id.",
    ),
    "headers": {"X-Run-Id": {"required": True, "schema": _STRING, "description": "The run."}},
}

SENT: Responses = {200: {**_RUN_STREAM, "links": _links(chat_id="$request.body#/id")}}
FOLLOWED: Responses = {
    200: _RUN_STREAM,
    204: {"description": "No answer is being written, or nothing of it is missing."},
}
STOPPED = _json(
    "Which run was stopped; null when there was nothing to stop.",
    _object({"stopped": {"type": ["string", "null"]}}),
)
CHAT_LIST = _json(
    "A page of chats; `next` is null on the last one.",
    _object({"chats": {"type": "array", "items": _CHAT}, "next": {"type": ["string", "null"]}}),
)
CHAT_ROW = _json("The chat as it is now.", _CHAT)
SNAPSHOT = _json(
    "The chat as of one moment.",
    _object(
        {
            **_CHAT["properties"],
            "messages": {"type": "array", "items": _UI_MESSAGE},
            "active_run": {"anyOf": [_ACTIVE_RUN, _NULL]},
            "versions": {"type": "array", "items": _VERSION},
        }
    ),
)
DELETED: Responses = {204: {"description": "The chat was deleted, with everything in it."}}
MODELS = _json("The models offered.", _object({"models": {"type": "array", "items": _MODEL}}))
VISITOR = _json(
    "Whether the visitor is known.",
    _object(
        {
            "known": {
                "type": "boolean",
                "description": "Whether the request had the cookie of an earlier answer, or was "
                "authenticated in another way.",
            }
        }
    ),
)
SIGNED_OUT: Responses = {204: {"description": "The cookie is deleted."}}
LINK = _json(
    "A one-time link.",
    _object(
        {
            "token": {
                "type": "string",
                "pattern": LINK_RULE,
                "description": "Open `/link#TOKEN` on the other device.",
            },
            "expires_in": {"type": "integer", "description": "Seconds that it can be used."},
        }
    ),
)
FEED: Responses = {
    200: _events(
        "The feed, which does not end; every event's id is a position in it.",
        "`open` first; then the changes of chats.",
    )
}
