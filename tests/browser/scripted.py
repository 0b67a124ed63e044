"""A scripted model: with a pace, with any events, or one that is cut off and begins again."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Event, Finish
from tests.app import App, Script
from tests.browser.chat_page import ChatPage
from tests.scripted_source import (
    ContinuingScriptedSource,
    Done,
    Fail,
    Say,
    Scene,
    ScriptedSource,
    Show,
    Until,
)

OVERLOADED = "The model is overloaded."
#: What is known of an answer at its end.
MADE = {"model": "demo"}


def numbered(count: int, word: str = "word") -> tuple[str, ...]:
    """Pieces that show where they belong."""
    return tuple(f"{word}{number} " for number in range(1, count + 1))


@asynccontextmanager
async def speaking(script: Script, *, every: float = 0.005) -> AsyncGenerator[None, None]:
    """Let a piece go every so many seconds; at the end the rest at once."""

    async def speak() -> None:
        while True:
            script.allow()
            await asyncio.sleep(every)

    script.hold()
    speaker = asyncio.create_task(speak())
    try:
        yield
    finally:
        speaker.cancel()
        script.free()


def picture(width: int, height: int) -> str:
    """A `data:` URL of a PNG image with colours in it (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    def row(y: int) -> bytes:
        colours = (bytes((x * 255 // width, y * 255 // height, 140)) for x in range(width))
        return bytes([0]) + b"".join(colours)

    rows = map(row, range(height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    image = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def yields(script: Script, *events: Event) -> None:
    """From now on every answer consists of these events, at once."""
    ends = [] if isinstance(events[-1], Finish) else [Done(metadata=MADE)]
    source = ScriptedSource([*map(Show, events), *ends])
    source.prompts = script.prompts
    vars(script)["stream"] = source.stream


def speaks(script: Script) -> None:
    """From now on answers consist of the script's pieces again."""
    vars(script).pop("stream", None)


def goes_on_in_words(script: Script, said: str, then: str) -> asyncio.Event:
    """A model that is cut off once, and can be asked in words to continue.

    Args:
        script: the application's model.
        said: the text before it is cut off.
        then: the text when it is asked to continue.

    Returns:
        An event that cuts it off when set, and lets it continue when set again.
    """
    gate = asyncio.Event()
    cut: Scene = [Say(said), Until(gate), Fail(sentence=OVERLOADED)]
    rest: Scene = [Until(gate), Say(then), Done(metadata=MADE)]
    source = ContinuingScriptedSource(by_prompt=lambda asked: rest if asked.continues else cut)
    source.prompts = script.prompts
    vars(script).update(stream=source.stream, can_continue=source.can_continue)
    return gate


async def begin_again(
    tab: ChatPage, app: App, old: Sequence[str], new: Sequence[str | Exception]
) -> None:
    """Ask, read all of `old`, and stop where the answer was cut off, before any new text."""
    app.script.pieces = (*old, ModelError(OVERLOADED, retryable=True))
    app.script.hold()
    app.script.allow(len(old))
    await tab.ask_until("At length", "".join(old))
    app.script.pieces = new
    app.script.allow()
    await tab.cut.wait_for()
