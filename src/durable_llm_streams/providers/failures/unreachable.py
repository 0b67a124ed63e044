"""The error for a provider that cannot be reached."""

from __future__ import annotations

import socket
import ssl

import aiohttp

from durable_llm_streams.errors import ModelError

from . import meanings


def unreachable(why: BaseException) -> ModelError:
    """The connection to the provider failed, or broke before the first byte.

    Args:
        why: what the network library raised. An untrusted certificate, and TLS with a server
            without it, are not retryable.
    """
    sentence, retryable = _judge(why)
    return ModelError(
        sentence,
        meaning="unreachable",
        retryable=retryable,
        detail=f"{type(why).__name__}: {why}",
    )


def _judge(why: BaseException) -> tuple[str, bool]:
    causes = _causes(why)
    if any(isinstance(cause, aiohttp.ClientHttpProxyError) for cause in causes):
        return meanings.NO_PROXY, False
    if any(isinstance(cause, aiohttp.ClientProxyConnectionError) for cause in causes):
        return meanings.NO_PROXY, True
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return meanings.BAD_CERTIFICATE, False
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        # A server without TLS fails like this every time; a reset may be temporary.
        return meanings.NO_TLS, not any("WRONG_VERSION" in str(cause) for cause in causes)
    if any(
        isinstance(cause, aiohttp.ClientConnectorDNSError | socket.gaierror) for cause in causes
    ):
        return meanings.UNKNOWN_NAME, True
    return meanings.MEANINGS["unreachable"].sentence, True


def _causes(why: BaseException) -> list[BaseException]:
    """The error and its causes, a few steps deep."""
    found: list[BaseException] = []
    step: BaseException | None = why
    while step is not None and len(found) < 8:
        found.append(step)
        inner = getattr(step, "certificate_error", None) or getattr(step, "os_error", None)
        following = inner if isinstance(inner, BaseException) else step.__cause__
        step = None if following is step else following
    return found
