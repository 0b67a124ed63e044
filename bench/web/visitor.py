"""A visitor without a browser: fills chats before a page is opened, and resumes paused answers."""

from __future__ import annotations

import http.client
import time
from contextlib import closing
from typing import Any, Final

import msgspec

from .bounds import OverdueError
from .content import SIGN, marks
from .source import GO, Script

COOKIE: Final = "dls_visitor"
_WAIT = 60.0
_AT_ONCE = 65_536


class Visitor:
    """A client that writes to a server; a browser gets the same cookie.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.cookie = ""
        self.cookie_name = ""
        self._asked = 0
        self.get("/api/chats")  # brings the cookie

    def get(self, path: str) -> Any:
        """The JSON at an address."""
        with closing(self._connection()) as connection:
            connection.request("GET", path, headers=self._headers())
            response = connection.getresponse()
            self._keep_cookie(response)
            return msgspec.json.decode(response.read())

    def ask(self, chat: str, question: str, *, to_the_end: bool = True) -> None:
        """Send a message to the end of a chat, and read the answer unless it is to continue alone.

        Raises:
            OverdueError: nothing comes, or no end.
        """
        self._asked += 1
        message = {
            "id": f"question-{self._asked}",
            "role": "user",
            "parts": [{"type": "text", "text": question}],
        }
        body = msgspec.json.encode(
            {"id": chat, "trigger": "submit-message", "message": message},
        )
        try:
            self._post(chat, body, to_the_end)
        except TimeoutError as error:
            raise OverdueError(f"{chat}: nothing came for {_WAIT:.0f} s.") from error

    def _post(self, chat: str, body: bytes, to_the_end: bool) -> None:
        with closing(self._connection()) as connection:
            headers = {**self._headers(), "Content-Type": "application/json"}
            connection.request("POST", "/api/chat", body, headers)
            response = connection.getresponse()
            if response.status != 200:
                raise SystemExit(f"{chat} was refused: {response.read().decode()}")
            self._keep_cookie(response)
            until = time.monotonic() + _WAIT
            while to_the_end and response.read1(_AT_ONCE):
                if time.monotonic() > until:  # heartbeats keep a stream alive that does not end
                    raise OverdueError(f"{chat} did not come to its end in {_WAIT:.0f} s.")

    def begin(self, chat: str, script: Script) -> None:
        """Start an answer and wait until it pauses.

        Raises:
            OverdueError: it does not come there.
        """
        self.ask(chat, script.text, to_the_end=False)
        wanted = marks(script.kind, script.ready)
        until = time.monotonic() + _WAIT
        while (said := self.said(chat).count(SIGN) // 2) < wanted:
            if time.monotonic() > until:
                raise OverdueError(f"{chat} came to mark {said} of {wanted} in {_WAIT:.0f} s.")
            time.sleep(0.05)

    def said(self, chat: str) -> str:
        """The text of the chat's last answer so far, or ""."""
        messages = self.get(f"/api/chats/{chat}")["messages"]
        if not messages or messages[-1]["role"] != "assistant":
            return ""
        return "".join(part.get("text", "") for part in messages[-1]["parts"])

    def fill(self, chat: str, exchanges: int, script: Script) -> None:
        """Give a chat so many questions and answers."""
        for _ in range(exchanges):
            self.ask(chat, script.text)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_WAIT)

    def _headers(self) -> dict[str, str]:
        return {"Cookie": f"{self.cookie_name}={self.cookie}"} if self.cookie else {}

    def _keep_cookie(self, response: http.client.HTTPResponse) -> None:
        name, _, value = (response.getheader("Set-Cookie") or "").partition("=")
        if name.startswith(COOKIE):
            self.cookie_name, self.cookie = name, value.partition(";")[0]


def go(port: int) -> None:
    """Resume the paused answer."""
    Visitor(port).ask(f"go-{time.monotonic_ns()}", GO)
