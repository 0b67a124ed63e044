"""The scripts of the fake provider: what one request gets. The list is in `fake_provider`."""

from __future__ import annotations

import dataclasses
import socket
import struct
import time
from asyncio import Transport
from email.utils import formatdate
from typing import Any, Self

from aiohttp import web

ODD = "one\u2028two\u0085three [DONE] data: [DONE]\r\n\ndata: {} \U0001f30d\u00e9\x00end"
SECRET_WORDS = "upstream-secret https://internal.example/route"
FAULTS = ("error", "cut", "end", "done", "stall", "junk", "chunk")


@dataclasses.dataclass
class Script:
    """What one request gets; see the module's list."""

    tokens: int = 20
    word: str = "w"
    reasoning: int = 0
    odd: int = 0
    rate: float = 0.0
    first: float = 0.0
    finish: str = "stop"
    usage: int = 1
    comments: int = 0
    empty: int = 0
    crlf: int = 0
    nospace: int = 0
    split: int = 0
    field: str = "reasoning"
    status: int = 0
    retry_after: str = ""
    retry_date: str = ""
    code: str = ""
    html: int = 0
    json: int = 0
    redirect: int = 0
    error_after: int = -1
    cut_after: int = -1
    end_after: int = -1
    done_after: int = -1
    stall_after: int = -1
    junk_after: int = -1
    chunk_after: int = -1
    after: str = ""
    prefill: str = "exact"
    continues: str = "anew"
    times: int = -1
    background: str = ""
    fail_after: int = -1
    incomplete_after: int = -1
    reason: str = "max_output_tokens"
    cut_at: int = -1
    listeners: int = 0
    refuse: int = 0
    window: float = 600.0
    retell: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        kinds: dict[str, Any] = {
            field.name: type(field.default) for field in dataclasses.fields(cls)
        }
        values: dict[str, Any] = {}
        for option in filter(None, text.split(",")):
            name, _, value = option.strip().partition("=")
            values[name] = kinds[name](value or 1)  # a KeyError names the unknown option
        return cls(**values)

    def without_faults(self) -> Script:
        calm: dict[str, Any] = {f"{fault}_after": -1 for fault in FAULTS}
        calm |= {"fail_after": -1, "incomplete_after": -1, "cut_at": -1}
        return dataclasses.replace(self, status=0, html=0, json=0, redirect=0, empty=0, **calm)

    def fault(self, words: int, *, finished: bool) -> str:
        """The fault that strikes after so many words."""
        if finished != (self.after == "finish"):
            return ""
        for fault in FAULTS:
            strikes_at: int = getattr(self, f"{fault}_after")
            if strikes_at >= 0 and (finished or strikes_at == words):
                return fault
        return ""

    def text(self) -> str:
        return "" if self.empty else answer(self.tokens, self.word) + ODD * bool(self.odd)


def answer(tokens: int, word: str = "w") -> str:
    """The whole answer of a request for so many words."""
    return "".join(f"{word}{number} " for number in range(1, tokens + 1))


def error_body(script: Script) -> dict[str, Any]:
    code = int(script.code) if script.code.isdigit() else script.code or script.status
    return {"error": {"code": code, "message": SECRET_WORDS, "metadata": {"provider": "Fake"}}}


def refusal(script: Script, status: int) -> web.Response:
    headers = {}
    if script.retry_after:
        headers["Retry-After"] = script.retry_after
    if script.retry_date:
        headers["Retry-After"] = formatdate(time.time() + float(script.retry_date), usegmt=True)
    return web.json_response(error_body(script), status=status, headers=headers)


def cut(http: web.Request) -> None:
    """Reset a request's connection."""
    transport = http.transport
    assert isinstance(transport, Transport)
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
