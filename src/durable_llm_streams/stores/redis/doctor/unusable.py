"""Why a Redis cannot be a store, in one line that says what to change."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl

from durable_llm_streams.stores.redis.client.address import Node, RedisAddress
from durable_llm_streams.stores.redis.client.connect import Dialer
from durable_llm_streams.stores.redis.client.errors import (
    MasterNotFound,
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
)
from durable_llm_streams.stores.redis.client.failures import causes, code

from .permissions import lacking, missing

_PROBE_SECONDS = 2.0
#: Refusals by words in the text. The first that fits is it.
_UNWANTED = "wants no password, and the address has one. Leave it out of DLS_STORE."
_REFUSED = "refuses the user or the password. Correct them in DLS_STORE."
_NO_DATABASE = "has no database {db}. Name a smaller number in DLS_STORE, such as 0."
_NO_CLUSTER = "is no Redis Cluster. Begin the address with redis://."
_NO_SENTINEL = "is no Sentinel. Begin the address with redis://, or name the Sentinels' ports."
_NO_SCRIPTS = (
    "runs no scripts (EVAL and EVALSHA are renamed or turned off). Allow them in its configuration."
)
_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("without any password configured",), _UNWANTED),
    (("no password is set",), _UNWANTED),
    (("invalid password",), _REFUSED),
    (("db index is out of range",), _NO_DATABASE),
    (("select is not allowed",), _NO_DATABASE),
    (("cluster support disabled",), _NO_CLUSTER),
    (("unknown command", "'cluster'"), _NO_CLUSTER),
    (("unknown command", "'sentinel'"), _NO_SENTINEL),
    (("unknown command", "'eval"), _NO_SCRIPTS),
)
#: Refusals by the first word.
_CODES = {
    "WRONGPASS": _REFUSED,
    "NOAUTH": "wants a password. Write it into the address: redis://USER:PASSWORD@HOST.",
    "READONLY": "is a replica, or read-only. Name its master in DLS_STORE, or the Sentinels.",
    "OOM": "is full (maxmemory). Give it more memory, or delete something.",
    "MISCONF": "cannot write to its disk and so takes nothing. Look at its disk and its log.",
    "NOREPLICAS": "takes nothing without its replicas (min-replicas-to-write). Start them.",
    "DENIED": "is in protected mode and refuses other hosts. Set a password in its configuration.",
}

_PLACE = re.compile(r"connecting to (.+?)\. ")


async def why_unusable(address: RedisAddress, error: Exception) -> str | None:
    """What is wrong with the address or its server; None for a state that passes by itself.

    Args:
        address: what could not be used.
        error: what a call raised.
    """
    if isinstance(error, MasterNotFound):
        return await _no_master(address)
    refusal = _refused(address, error)
    if refusal is not None:
        return refusal
    if code(error) or not isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return None
    chain = list(causes(error))
    named = _PLACE.search(str(error))
    place = named[1] if named else address.path or ", ".join(map(str, address.nodes))
    file = next((cause for cause in chain if isinstance(cause, FileNotFoundError)), None)
    if file is not None and address.tls:
        return "cannot be reached: a file of the options ca, cert or key does not exist."
    if file is not None:
        return f"cannot be reached: there is no socket {place}. Start Redis, or correct DLS_STORE."
    if any(isinstance(cause, PermissionError) for cause in chain):
        return f"cannot be reached: this user may not use {place}. Change the rights of the file."
    if any(isinstance(cause, socket.gaierror | UnicodeError) for cause in chain):
        return f"cannot be reached: the host of {place} is not known. Correct DLS_STORE."
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        return f"cannot be reached: nobody listens at {place}. Start Redis, or correct DLS_STORE."
    certificate = next((c for c in chain if isinstance(c, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return _distrusted(certificate)
    return await _other_layer(address, chain, place)


def _refused(address: RedisAddress, error: Exception) -> str | None:
    """Refusals in the server's own words."""
    lowered = str(error).lower()
    for words, sentence in _WORDS:
        if all(word in lowered for word in words):
            return sentence.format(db=address.db)
    if code(error) == "NOPERM":
        reason = str(error).removeprefix("NOPERM ")
        return missing(address, {lacking(address, reason): reason})
    if code(error) == "MOVED" and address.mode != "cluster":
        return "is a server of a Redis Cluster. Begin the address with redis+cluster://."
    if code(error) == "READONLY" and address.mode == "sentinel":
        return None  # the sentinels have not agreed yet on the new master
    return _CODES.get(code(error))


def _distrusted(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.rstrip(".")
    if "mismatch" in message:
        advice = "Write the host as the certificate has it."
    elif "expired" in message or "not yet valid" in message:
        advice = "Renew it, or look at this machine's clock."
    else:
        advice = "Name the file with its authority's certificate by the option ca."
    return f"has a certificate that cannot be trusted: {message}. {advice}"


async def _no_master(address: RedisAddress) -> str | None:
    """No sentinel names a master."""
    answers = await Dialer(address).services()
    known = [answer for answer in answers if isinstance(answer, set)]
    if any(address.service in names for names in known):
        return None  # it is down, and a failover will come
    if known:
        names = ", ".join(sorted(set[str]().union(*known))) or "none"
        return (
            f"cannot be found: no Sentinel knows the service {address.service}. They know {names}. "
            "Correct the name in DLS_STORE."
        )
    error = next(answer for answer in answers if isinstance(answer, RedisError))
    if code(error) in ("NOAUTH", "WRONGPASS") or "invalid password" in str(error).lower():
        return (
            "cannot be found: the Sentinels want another password. Set the options "
            "sentinel_password and, if they have users, sentinel_user."
        )
    return await why_unusable(address, error) or f"cannot be found: no Sentinel answers ({error})."


async def _other_layer(address: RedisAddress, chain: list[BaseException], place: str) -> str:
    """The connection opens but says nothing: perhaps one side speaks TLS and the other does not."""
    node = _node(place, address)
    if node is not None and address.tls and await _speaks_plainly(node):
        return f"speaks no TLS at {place}. Begin the address with redis instead of rediss."
    if node is not None and not address.tls and await _speaks_tls(node):
        return f"speaks TLS at {place}. Begin the address with rediss instead of redis."
    broken = next((cause for cause in chain if isinstance(cause, ssl.SSLError)), None)
    if address.tls and not address.cert and _hung_up(chain, broken):
        return (
            f"ends the connection at {place}. It probably wants a certificate of this client: "
            "name its files by the options cert and key."
        )
    if broken is not None:
        return f"cannot be reached over TLS at {place} ({broken.reason or broken})."
    if isinstance(chain[0], RedisTimeoutError):
        return (
            f"does not answer at {place} within {address.timeout:g} s. "
            "Look at the network and its firewalls, or correct DLS_STORE."
        )
    return f"cannot be reached at {place} ({str(chain[0]).rstrip('.')})."


def _hung_up(chain: list[BaseException], broken: ssl.SSLError | None) -> bool:
    """Whether a server ended a connection whose handshake it had agreed to.

    With TLS 1.3 a client learns only afterwards that its certificate was missing, if at all.
    """
    if broken is not None:
        return "CERTIFICATE_REQUIRED" in (broken.reason or "")
    return any(
        isinstance(cause, ConnectionResetError | BrokenPipeError) or "closed" in str(cause)
        for cause in chain
    )


def _node(place: str, address: RedisAddress) -> Node | None:
    return next((node for node in address.nodes if str(node) in place), None)


async def _speaks_plainly(node: Node) -> bool:
    """Whether a server answers without TLS as Redis does."""
    answer = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(node.host, node.port)
            try:
                writer.write(b"PING\r\n")
                answer = await reader.read(1)
            finally:
                writer.close()
    return answer in (b"+", b"-")


async def _speaks_tls(node: Node) -> bool:
    """Whether a server accepts a TLS handshake, with any certificate."""
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(node.host, node.port, ssl=anybody)
            writer.close()
            return True
    return False
