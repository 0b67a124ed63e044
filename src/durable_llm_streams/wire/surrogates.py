"""Lone surrogates in JSON texts.

JavaScript's strings may hold half of a surrogate pair, for example if a text was cut in the middle
of an emoji. `JSON.stringify` writes it as an escape (ECMA-262, QuoteJSONString). RFC 8259, section
8.2, allows that, but UTF-8 cannot encode it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

# Escapes occur only in strings. Every escape is matched, so that an escaped backslash before
# `ud800` is not taken for the beginning of a surrogate.
_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)

T = TypeVar("T")


def without_lone_surrogates(data: bytes) -> bytes:
    """A JSON text with U+FFFD in place of every lone surrogate.

    Args:
        data: the text. Other errors in it stay.
    """
    return _ESCAPES.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)


def decode_mended(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode JSON; if that fails because of lone surrogates, decode it without them.

    Raises:
        msgspec.DecodeError: the error of `decode` for the original text.
    """
    try:
        return decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = without_lone_surrogates(data)
        if mended == data:
            raise
    return decode(mended)
