"""What one request gets, in one line of text. Options, comma separated; a name alone means 1.

    tokens=20        words in the answer           word=w         what the words begin with
    reasoning=0      words of reasoning before     odd            odd marks at the end: ODD
    rate=0           words per second, 0: at once  first=0        seconds before the first word
    finish=stop      the finish reason             code=C         an error's code
    status=N         answer with HTTP status N     retry_after=S  with this Retry-After
    html, redirect   no stream at all
    error_after=N    an error event after N words  cut_after=N    the connection is reset
    end_after=N      a clean end, no finish        done_after=N   [DONE], no finish
    stall_after=N    nothing more, left open       junk_after=N   a line that is no JSON
    chunk_after=N    broken transfer encoding      after=finish   those strike after the finish
    echo             a beginning that is to be continued is repeated first
    times=N          the faults strike only the first N requests of this very model

Where the provider keeps the answer (background mode) there are also these; the faults above strike
the connection there, and not the answer:

    background=refuse  HTTP 400: no such mode
    fail_after=N       the answer fails (code=C)   incomplete_after=N it ends incomplete (reason=R)
    cut_at=N           the connection is reset after N events
    listeners          the faults of connections also strike later readers of the same answer
    window=S           seconds after its beginning when it is gone (404)
    refuse=N           a later reader gets HTTP status N
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Final, Self

from .http import End, Raw, Reply, Step
from .wire import DONE

ODD: Final = "one\u2028two\u0085three [DONE] data: [DONE]\r\n\ndata: {} \U0001f30d\u00e9\x00end"
#: What a provider writes into its errors. No reader may ever see it.
SECRET_WORDS: Final = "upstream-secret https://internal.example/route"

#: What each fault of a connection does, in the order in which they strike. An error's event has the
#: form of its stream.
FAULTS: Final[dict[str, tuple[Step, ...]]] = {
    "error": (),
    "cut": (End.RESET,),
    "end": (),
    "done": (DONE,),
    "stall": (End.HANG,),
    "junk": (f'data: {{"choices": [{SECRET_WORDS}\n\n'.encode(),),
    "chunk": (Raw(b"this is no chunk size\r\n"),),
}


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
    status: int = 0
    retry_after: str = ""
    code: str = ""
    html: int = 0
    redirect: int = 0
    error_after: int = -1
    cut_after: int = -1
    end_after: int = -1
    done_after: int = -1
    stall_after: int = -1
    junk_after: int = -1
    chunk_after: int = -1
    after: str = ""
    echo: int = 0
    times: int = -1
    background: str = ""
    fail_after: int = -1
    incomplete_after: int = -1
    reason: str = "max_output_tokens"
    cut_at: int = -1
    listeners: int = 0
    refuse: int = 0
    window: float = 600.0

    @classmethod
    def parse(cls, text: str) -> Self:
        kinds: dict[str, Any] = {
            field.name: type(field.default) for field in dataclasses.fields(cls)
        }
        values: dict[str, Any] = {}
        for option in filter(None, text.split(",")):
            name, _, value = option.strip().partition("=")
            if name not in kinds:
                raise ValueError(f"the fake provider has no option `{name}`: {', '.join(kinds)}")
            values[name] = kinds[name](value or 1)
        return cls(**values)

    def without_faults(self) -> Script:
        calm: dict[str, Any] = {f"{fault}_after": -1 for fault in FAULTS}
        calm |= {"fail_after": -1, "incomplete_after": -1, "cut_at": -1}
        return dataclasses.replace(self, status=0, html=0, redirect=0, **calm)

    def strike(self, words: int, error: bytes, *, finished: bool = False) -> Sequence[Step] | None:
        """What a fault does after so many words, and the stream ends with it; None for no fault.

        Args:
            words: how many were written.
            error: the event of an error.
            finished: whether the finish reason was written.
        """
        if finished != (self.after == "finish"):
            return None
        for fault, steps in FAULTS.items():
            strikes_at: int = getattr(self, f"{fault}_after")
            if strikes_at >= 0 and (finished or strikes_at == words):
                return (error,) if fault == "error" else steps
        return None

    @property
    def text(self) -> str:
        """The whole answer."""
        return answer(self.tokens, self.word) + ODD * bool(self.odd)

    @property
    def words(self) -> list[str]:
        return words_of(self.text)

    @property
    def thoughts(self) -> list[str]:
        return [f"r{number} " for number in range(1, self.reasoning + 1)]

    def error(self) -> dict[str, Any]:
        """The document of an error."""
        code = int(self.code) if self.code.isdigit() else self.code or self.status
        return {"error": {"code": code, "message": SECRET_WORDS, "metadata": {"provider": "Fake"}}}

    def refusal(self, status: int) -> Reply:
        """The response that refuses a request: an error document, or 204 without a body."""
        if status == 204:
            return Reply.whole(b"", status)
        headers = {"Retry_After": self.retry_after} if self.retry_after else {}
        return Reply.json(self.error(), status, **headers)


def answer(tokens: int, word: str = "w") -> str:
    """The whole answer of a request for so many words."""
    return "".join(f"{word}{number} " for number in range(1, tokens + 1))


def words_of(text: str) -> list[str]:
    """A text in words, each with the white space behind it."""
    return re.findall(r"\s*\S+\s?|\s+", text)
