"""What of an address may be printed, and what in it is secret: one rule for every address.

An address may hold a password, a token in the place of the user's name, and keys in its query. It
may also be written wrongly, with characters in a password that had to be encoded. So in doubt more
is hidden than need be. Form of an address: RFC 3986, section 3.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote

_HIDDEN: Final = "***"

#: A key in the place of an address; hosts and files have a dot, a slash or a colon, or are shorter.
_KEY: Final = re.compile(r"[^./:@]{17,}")


def without_secrets(address: str) -> str:
    """An address as it may be printed: without user, password, query and fragment.

    Args:
        address: of a provider, a proxy or a store, well-formed or not; `HOST,HOST` is one, too.
    """
    scheme, separator, rest = address.rpartition("://")
    if not separator and _KEY.fullmatch(address):
        return _HIDDEN
    head, *tail = re.split(r"[?#]", rest, maxsplit=1)
    if any("@" in part for part in tail):  # or it is a password with a ? in it
        return f"{scheme}{separator}{_HIDDEN}"
    _, at, place = head.rpartition("@")
    authority, slash, path = place.partition("/")
    nodes = ",".join(map(_node, authority.split(",")))
    return f"{scheme}{separator}{_HIDDEN if at else ''}{at}{nodes}{slash}{path}"


def secrets_of(address: str) -> list[str]:
    """What must not be printed of an address: the user's name, the password, values of the query.

    Args:
        address: of a provider or a proxy.
    """
    _, _, rest = address.rpartition("://")
    before, at, _ = rest.rpartition("@")
    values = [value for _, value in parse_qsl(rest.partition("?")[2])]
    found = [*(before.split(":", 1) if at else []), *values]
    return [form for secret in found if secret for form in dict.fromkeys((secret, unquote(secret)))]


def _node(text: str) -> str:
    """`HOST:PORT` unchanged. What follows the colon may be a password if it is no number."""
    if text.startswith("["):
        return text
    host, colon, port = text.partition(":")
    return text if not colon or port.isdecimal() else f"{host}:{_HIDDEN}"
