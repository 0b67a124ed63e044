"""The form of a corpus file: what a provider sends, and what must come of it.

`corpus/README.md` shows the form, and the classes below are it: a file with a key that is not here
fails with the file's name, the key and its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

CORPUS: Final = Path(__file__).parent / "corpus"


class CaseError(ValueError):
    """A file that is no case. The text names the file and says what to change."""


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something in a body that is not plain text.

    Attributes:
        pause: seconds of silence.
        repeat, times, every: a text, sent so many times, with so many seconds before each.
        reset: the connection is reset (TCP RST).
        end: the connection is closed in order, without the end that the framing asks for.
        hang: nothing more comes; the connection stays open until the client closes it.
        raw: bytes outside of the framing, such as a broken chunk size.
    """

    pause: float = 0.0
    repeat: str = ""
    times: int = 1
    every: float = 0.0
    reset: bool = False
    end: bool = False
    hang: bool = False
    raw: str = ""


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests an answer is for; every condition that is given must hold.

    Attributes:
        path: the request's path ends with this; a query counts if this has one.
        query: stands somewhere in the query.
        method: `GET` or `POST`.
        field, no_field: the JSON body has, or lacks, this field (dots lead inwards, numbers into
            lists).
        header, no_header: the request has, or lacks, this header.
        last_role: the role of the last message.
        role: some message has this role.
        alternates: whether user and assistant take turns, the user first (after a system message).
    """

    path: str = ""
    query: str = ""
    method: str = ""
    field: str = ""
    no_field: str = ""
    header: str = ""
    no_header: str = ""
    last_role: str = ""
    role: str = ""
    alternates: bool | None = None


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request gets.

    Attributes:
        status, type, headers: the head. `type` "" sends no content type.
        framing: how the body's end is known: `close` (of the connection), `chunked` (each text of
            the body is a chunk), `length`.
        head: false sends no head at all: the body begins with the first byte.
        wait: seconds before the head.
        body: texts and steps in order. In a text `\\xHH` is a raw byte and `@{...}` a value of the
            moment, see `corpus/README.md`.
        when: the requests that it is for. Without it, requests get the answers in order, and the
            last one again and again.
    """

    status: int = 200
    type: str = "text/event-stream"
    headers: dict[str, str] = {}
    framing: Literal["close", "chunked", "length"] = "close"
    head: bool = True
    wait: float = 0.0
    body: str | list[str | Step] = ""
    when: When | None = None

    @property
    def steps(self) -> list[str | Step]:
        return [self.body] if isinstance(self.body, str) else list(self.body)


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold of one request.

    Attributes:
        path: its path ends with this.
        method: `GET` or `POST`.
        headers: it has these, with these values.
        has, lacks: fields of its body (dots lead inwards, numbers into lists).
        body: fields of its body with their values.
        roles: of its messages.
        first, last: the text of its first and its last message.
        contents: the texts of all messages.
    """

    path: str = ""
    method: str = ""
    headers: dict[str, str] = {}
    has: list[str] = []
    lacks: list[str] = []
    body: dict[str, Any] = {}
    roles: list[str] | None = None
    first: str | None = None
    last: str | None = None
    contents: list[str] | None = None


class Expect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must come out. All of it is compared; what is not given must not be there.

    Attributes:
        status: the stored status of the answer; `refused`: the message itself was not taken.
        text, reasoning: the whole of it, in the message that is stored.
        text_has: instead of `text`: what stands somewhere in it.
        files: of each picture or file its media type, or its media type and URL.
        sources: of each page its URL, or its URL and title.
        finish: `finishReason` in the message's metadata.
        meaning: of the failure, from the table in docs/providers.md; the sentence is that one's.
        sentence: of the failure, where no meaning says it.
        requests: how many the provider got in all.
        rungs: how each request was meant, where there were several for the last message.
        resets: how often readers had to drop the text so far.
        usage: fields of the metadata's `usage`.
        delay: the least and the most seconds that the first retry waits.
        request: for each request in order what must hold of it; fewer than there were is fine.
    """

    status: Literal["finished", "failed", "refused"] = "finished"
    text: str | None = None
    text_has: list[str] = []
    reasoning: str = ""
    files: list[str | list[str]] = []
    sources: list[str | list[str]] = []
    finish: str | None = None
    meaning: str = ""
    sentence: str = ""
    requests: int = 1
    rungs: list[str] | None = None
    resets: int = 0
    usage: dict[str, int] = {}
    delay: tuple[float, float] | None = None
    request: list[Asked] = []


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file.

    Attributes:
        title: the case in one sentence.
        kind: the row of the table in docs/providers.md; the folder's name.
        seen: public reports of it, such as `gptme#3247`.
        note: an explanation for readers of the file.
        settings: environment of `dls serve`, beside the defaults in `walk.py`.
        files: files in the folder that `@{folder}` names, by name.
        ask: what the user sends, one message after the other has been answered.
        answer: what the provider sends.
        expect: what must come of the last message, and of each message before (`[[expect]]`).
        cuts: whether the bodies are also cut at every byte, at the parser; false where the bytes
            mean something only together with the connection.
    """

    title: str
    kind: str
    seen: list[str] = []
    note: str = ""
    settings: dict[str, str] = {}
    files: dict[str, str] = {}
    ask: list[str] = msgspec.field(default_factory=lambda: ["Hi"])
    answer: list[Answer]
    expect: Expect | list[Expect]
    cuts: bool = True

    @property
    def expectations(self) -> list[Expect]:
        """One for each message; None of the earlier ones need be given."""
        return self.expect if isinstance(self.expect, list) else [self.expect]


def load(path: Path) -> Case:
    """Read a file.

    Raises:
        CaseError: it is no case.
    """
    try:
        case = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Case)
        _sound(case)
    except (ValueError, msgspec.ValidationError) as error:
        raise CaseError(f"{path.parent.name}/{path.name}: {error}") from None
    return case


def _sound(case: Case) -> None:
    """What types cannot say."""
    if len(case.expectations) > len(case.ask):
        raise ValueError("there are more [[expect]] than messages in `ask`.")
    for expect in case.expectations:
        if expect.status == "failed" and not (expect.meaning or expect.sentence):
            raise ValueError("a failed answer needs `meaning` or `sentence` in [expect].")
        if expect.status == "finished" and not (expect.text is not None or expect.text_has):
            raise ValueError("a finished answer needs `text` or `text_has` in [expect].")


def paths(root: Path = CORPUS) -> Iterator[Path]:
    """All files of the corpus."""
    return iter(sorted(root.glob("*/*.toml")))


def name_of(path: Path) -> str:
    """A case's name: its kind and its file's."""
    return f"{path.parent.name}/{path.stem}"
