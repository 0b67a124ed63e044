"""The address of a hosted Upstash database, from its REST address and token."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from durable_llm_streams.errors import InvalidSetting

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.upstash\.io", re.ASCII)


def upstash_address(rest_url: str, token: str) -> str:
    """The address of an Upstash database, made of its REST address and token.

    The REST token is also the password of the database's default user. The result contains it.
    Source: https://upstash.com/docs/redis/howto/connectclient

    Args:
        rest_url: `UPSTASH_REDIS_REST_URL`, such as `https://eu1-able-cat-12345.upstash.io`.
        token: `UPSTASH_REDIS_REST_TOKEN`, not the read-only one.

    Raises:
        InvalidSetting: one of them is invalid.
    """
    try:
        url = urlsplit(rest_url.strip())
        host, port = (url.hostname or "").lower(), url.port
    except ValueError:
        url, host, port = urlsplit(""), "", None
    if (
        url.scheme != "https"
        or not _HOST.fullmatch(host)
        or port not in (None, 443)
        or url.username is not None
        or url.path not in ("", "/")
        or url.query
    ):
        raise InvalidSetting(
            "UPSTASH_REDIS_REST_URL is not the address of an Upstash database. "
            "Write https://NAME.upstash.io as the database's page shows it, or set DLS_STORE."
        )
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSetting(
            "UPSTASH_REDIS_REST_TOKEN is empty or invalid. Copy it from the database's page."
        )
    return f"rediss://default:{quote(token, safe='')}@{host}:6379"
