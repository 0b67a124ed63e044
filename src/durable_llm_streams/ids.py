"""Random names: ids of runs and messages, tokens of epochs."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(now: int) -> str:
    """A new run's or message's id: 22 characters, of which the first 10 sort by time.

    Args:
        now: the wall clock, in milliseconds.
    """
    number = (now << 60) | secrets.randbits(60)
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(105, -1, -5)]
    return "".join(digits)


def new_token() -> str:
    """The token of an epoch: 8 hexadecimal digits."""
    return secrets.token_hex(4)
