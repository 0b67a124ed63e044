"""Whether others can reach this server, and what must be set then: rules and their sentences.

A server that others reach answers anybody, and each answer costs money at the provider. So it only
starts if the settings say that this is meant: `_REQUIRED`. `_WEAK` is allowed, and `dls doctor`
names it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.redaction import secrets_of
from durable_llm_streams.server.edge import is_loopback
from durable_llm_streams.stores.finding import Finding

from .settings import Settings


class _Requirement(NamedTuple):
    """A setting without which a public server with a provider's key does not start."""

    is_met: Callable[[Settings], bool]
    advice: str


class _Weakness(NamedTuple):
    """A setting that a public server had better not have."""

    is_there: Callable[[Settings], bool]
    sentence: str


_REQUIRED: Final = (
    _Requirement(
        lambda settings: settings.anonymous,
        "DLS_ANONYMOUS=yes if anybody may use it",
    ),
    _Requirement(
        lambda settings: bool(settings.hosts),
        "DLS_HOSTS to the names in its address, such as chat.example.org",
    ),
    _Requirement(
        lambda settings: settings.budget_per_day > 0,
        "DLS_BUDGET_PER_DAY to the most tokens of a day, such as 1000000",
    ),
)

_WEAK: Final = (
    _Weakness(
        lambda _: "*" in _trusted_proxies(),
        "FORWARDED_ALLOW_IPS=* believes each client what its address is. "
        "Set it to the address or the network of the proxy, such as 10.0.0.0/8.",
    ),
    _Weakness(
        lambda settings: "*" in settings.hosts,
        "DLS_HOSTS=* accepts every name, so a page elsewhere can reach this server under its own. "
        "Set DLS_HOSTS to the names in the server's address.",
    ),
    _Weakness(
        lambda settings: has_key(settings) and settings.context_tokens == 0,
        "DLS_CONTEXT_TOKENS=0 sends whole conversations to the model, however long they are. "
        "Set it to a number of tokens, such as 32000.",
    ),
)


def check_public(settings: Settings) -> None:
    """Check that a server that others can reach may start.

    Raises:
        InvalidSetting: it would answer anybody at the operator's cost; the sentence says what to
            set.
    """
    missing = list(_missing(settings))
    if missing:
        raise InvalidSetting(_refusal(settings, missing))


def examine_public(settings: Settings) -> list[Finding]:
    """What `dls doctor` says of a server that others can reach; nothing of one that is in order."""
    if not is_public(settings):
        return []
    missing = list(_missing(settings))
    findings = [Finding("fatal", _refusal(settings, missing))] if missing else []
    return findings + [
        Finding("danger", weak.sentence) for weak in _WEAK if weak.is_there(settings)
    ]


def is_public(settings: Settings) -> bool:
    """Whether others can reach the server: by its address, or by a proxy on this machine.

    A name in `DLS_HOSTS` that is not this machine's own is the sign of a proxy.
    """
    bound = is_loopback(settings.host) or _resolves_to_loopback(settings.host)
    return not (bound and all(map(is_loopback, settings.hosts)))


def has_key(settings: Settings) -> bool:
    """Whether answers are paid for with the operator's key."""
    return bool(
        settings.openrouter_api_key
        or settings.openai_api_key
        or (settings.openai_base_url and secrets_of(settings.openai_base_url))
        or (settings.openai_base_url and settings.provider_headers)
    )


def _missing(settings: Settings) -> Iterator[str]:
    if has_key(settings) and is_public(settings):
        yield from (each.advice for each in _REQUIRED if not each.is_met(settings))


def _refusal(settings: Settings, missing: list[str]) -> str:
    alone = "Unset DLS_HOSTS" if is_loopback(settings.host) else "Set DLS_HOST=127.0.0.1"
    return (
        "Anybody who can reach this server could spend the money of the model provider's key. "
        f"Set {', and '.join(missing)}. {alone} to serve this machine alone. See docs/security.md."
    )


def _trusted_proxies() -> list[str]:
    return [each.strip() for each in os.environ.get("FORWARDED_ALLOW_IPS", "").split(",")]


def _resolves_to_loopback(host: str) -> bool:
    """The same of a name that the machine's own tables may hold."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)
