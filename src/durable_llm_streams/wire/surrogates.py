"""Lone surrogates in JSON texts.

JavaScript's strings may hold half of a surrogate pair, for example where a text was cut in the
middle of an emoji. `JSON.stringify` writes it as an escape (ECMA-262, QuoteJSONString), which RFC
8259, section 8.2, allows and no UTF-8 can hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

# Escapes stand in strings only. Every one is matched, so that an escaped backslash before `ud800`
# is not taken for the beginning of a surrogate.
_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)

T = TypeVar("T")


def without_lone_surrogates(data: bytes) -> bytes:
    """A JSON text with U+FFFD in the place of every lone surrogate.

    Args:
        data: the text, which may be no JSON; what else is wrong with it stays.
    """
    return _ESCAPES.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)


def decode_mended(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode JSON; if that fails because of lone surrogates, decode it without them.

    Raises:
        msgspec.DecodeError: what `decode` raises of the text as it came.
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
