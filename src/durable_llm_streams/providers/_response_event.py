"""The shape of one event of a response stream: of all its fields, those that are read here.

Source: the streaming events of OpenAI's Responses API (`openai.types.responses` of `openai` 3).
Fields that do not decide over the answer are `Any`, so that an odd one cannot break it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct


class ResponseEvent(Struct, gc=False):
    type: Any = None
    sequence_number: Any = None
    delta: Any = None  # of texts
    text: Any = None  # the whole of a text whose deltas are over
    refusal: Any = None  # the same of a refusal
    part: Any = None  # a part of a message
    item: Any = None  # an item of the output
    annotation: Any = None
    summary_index: Any = None  # of a part of a reasoning summary
    response: Any = None  # the whole response, where one begins or ends
    error: Any = None  # of an `error` that is nested
    code: Any = None  # of an `error`
    message: Any = None


decode: Final = msgspec.json.Decoder(ResponseEvent).decode
