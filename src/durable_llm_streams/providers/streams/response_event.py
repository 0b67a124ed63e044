"""One event of a response stream, with the fields that are read here.

Source: the streaming events of OpenAI's Responses API (`openai.types.responses` of `openai` 3).
All fields are `Any`, so an invalid one cannot break an answer.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct


class Delta(Struct, gc=False):
    """The fields of a text delta, for the hot path."""

    type: Any = None
    sequence_number: Any = None
    delta: Any = None


class ResponseEvent(Struct, gc=False):
    """What is read of all other events."""

    type: Any = None
    sequence_number: Any = None
    delta: Any = None
    text: Any = None  # the complete text, after its deltas
    refusal: Any = None  # the same of a refusal
    part: Any = None  # a part of a message
    item: Any = None  # an item of the output
    annotation: Any = None
    summary_index: Any = None  # of a part of a reasoning summary
    response: Any = None  # the whole response, where one begins or ends
    error: Any = None  # of an `error` that is nested
    code: Any = None  # of an `error`
    message: Any = None


decode_delta: Final = msgspec.json.Decoder(Delta).decode
decode: Final = msgspec.json.Decoder(ResponseEvent).decode
