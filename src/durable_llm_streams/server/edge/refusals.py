"""Refusals before the application: problem documents as bytes (RFC 9457, RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

from durable_llm_streams.server.policy import secured
from durable_llm_streams.server.problems import problem


class Refusal(NamedTuple):
    """Why a connection ends.

    Attributes:
        status: of the response.
        name, title, detail: of the problem document.
        retry_after: seconds, or None.
    """

    status: int
    name: str
    title: str
    detail: str
    retry_after: int | None = None

    def encode(self, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
        """The whole response, after which the connection closes.

        Args:
            more: headers of every response of the server, such as the date.
        """
        response = problem(self.status, self.name, self.title, self.detail)
        if self.retry_after is not None:
            response.headers["retry-after"] = str(self.retry_after)
        headers = [*more, *secured(response.raw_headers), (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        phrase = HTTPStatus(self.status).phrase.encode()
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (self.status, phrase, lines, bytes(response.body))


INVALID: Final = Refusal(
    400, "invalid-request", "Invalid request", "This is not a valid HTTP/1.1 request."
)
LATE: Final = Refusal(
    408, "too-slow", "Too slow", "The request did not arrive in time. Send it again."
)
HEAD_TOO_LARGE: Final = Refusal(
    431,
    "too-large",
    "Too large",
    "The address and the headers of the request are too long. Send fewer or shorter ones.",
)
TOO_MANY: Final = Refusal(
    429,
    "too-many-connections",
    "Too many connections",
    "This address has too many connections. Close some of them, then try again.",
    retry_after=10,
)
FULL: Final = Refusal(
    503,
    "too-many-connections",
    "Too many connections",
    "The server has no room for another connection. Try again in a few seconds.",
    retry_after=5,
)
BODIES: Final = Refusal(
    503,
    "too-many-bodies",
    "Too much at once",
    "The server is receiving too much at once. Send the request again in a few seconds.",
    retry_after=5,
)
