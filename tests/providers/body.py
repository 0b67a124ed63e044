"""From the text of a case to bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate

from tests.providers.case import Answer, Step

_RAW = re.compile(rb"\\x([0-9a-fA-F]{2})")
_VALUE = re.compile(r"@\{(\w+)([+-]\d+)?\}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with the values of the moment in place of `@{NAME}` and `@{NAME+SECONDS}`.

    Args:
        text: of the case.
        values: the names that are texts, such as `port`.

    Raises:
        ValueError: a name that is unknown.
    """

    def value(found: re.Match[str]) -> str:
        name, later = found[1], float(found[2] or 0)
        if name in values:
            return values[name]
        moment = time.time() + later
        return _MOMENTS[name](moment)

    try:
        return _VALUE.sub(value, text)
    except KeyError as error:
        names = ", ".join(sorted([*values, *_MOMENTS]))
        raise ValueError(f"`@{{{error.args[0]}}}` is unknown. There are: {names}.") from None


_MOMENTS = {
    "date": lambda moment: formatdate(moment, usegmt=True),
    "seconds": lambda moment: str(round(moment)),
    "milliseconds": lambda moment: str(round(moment * 1000)),
    "rfc3339": lambda moment: datetime.fromtimestamp(moment, UTC).isoformat(),
}


def as_bytes(text: str) -> bytes:
    r"""A text as it is sent: UTF-8, with `\xHH` as one raw byte."""
    return _RAW.sub(lambda found: bytes([int(found[1], 16)]), text.encode())


def whole(answer: Answer, values: Mapping[str, str]) -> bytes:
    """All bytes of an answer's body, without pauses and framing."""
    data = bytearray()
    for step in answer.steps:
        if isinstance(step, str):
            data += as_bytes(filled(step, values))
        else:
            data += as_bytes(filled(step.repeat, values)) * step.times
            if step.reset or step.end or step.hang or step.raw:
                break
    return bytes(data)


def breaks(answer: Answer) -> bool:
    """Whether the connection breaks in the body."""
    return any(isinstance(step, Step) and (step.reset or step.raw) for step in answer.steps)
