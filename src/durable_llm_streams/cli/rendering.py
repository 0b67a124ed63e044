"""An answer on a terminal, while it is being written.

Theory of operation
===================
1. Finished blocks of Markdown are printed once and never drawn again. Only the last block is live,
   so the cost of drawing does not grow with the answer.
2. The live part is never higher than the screen: a long block shows its last lines until it is
   finished.
3. Control characters from a model or a server never reach the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from .terminal import sanitized

_FENCE: Final = re.compile(r"\s*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})")
_LIVE_LINES: Final = 200


class AnswerText:
    """The text of an answer, from its chunks.

    Attributes:
        text: the text so far; it gets shorter after `reset-step`.
        thinking: whether the model is reasoning now.
        error: the error's text, or "".
        stopped: whether it was stopped.
        model: the model that answered, once the answer has ended.
    """

    def __init__(self) -> None:
        self.text = ""
        self.thinking = False
        self.error = ""
        self.stopped = False
        self.model = ""
        self._step = 0

    def begin_with(self, message: Mapping[str, Any]) -> None:
        """Begin with the text of a message so far."""
        for part in message.get("parts", ()):
            if part.get("type") == "step-start":
                self._step = len(self.text)
            elif part.get("type") == "text":
                self._begin_part()
                self.text += sanitized(str(part.get("text", "")))

    def feed(self, chunk: Mapping[str, Any]) -> None:
        """Read the next chunk."""
        kind = chunk.get("type")
        if kind == "text-delta":
            self.text += sanitized(str(chunk.get("delta", "")))
        elif kind == "text-start":
            self._begin_part()
        elif kind == "start-step":
            self._step = len(self.text)
        elif kind == "reset-step":
            self.text = self.text[: self._step]
            self.thinking = False
        elif kind in {"reasoning-start", "reasoning-end"}:
            self.thinking = kind == "reasoning-start"
        else:
            self._end(chunk)

    def _begin_part(self) -> None:
        self.thinking = False
        if self.text:
            self.text += "\n\n"

    def _end(self, chunk: Mapping[str, Any]) -> None:
        kind = chunk.get("type")
        if kind == "error":
            self.error = sanitized(str(chunk.get("errorText", ""))) or "The answer failed."
        elif kind == "abort":
            self.stopped = True
        elif kind == "finish":
            self.model = sanitized(str((chunk.get("messageMetadata") or {}).get("model", "")))


def finished_blocks(text: str, begin: int = 0) -> int:
    """Where the last block begins, which may still grow; all blocks before it are finished.

    A block ends at an empty line outside of a fence, when what follows is not indented.
    """
    fence = ""
    empty, place, result = False, begin, begin
    for line in text[begin:].splitlines(keepends=True):
        mark = _FENCE.match(line)
        if not fence and empty and line.strip() and not line[0].isspace():
            result = place
        if mark is not None:
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not line.strip(" \t\n`~"):
                fence = ""
        empty = not line.strip()
        place += len(line)
    return result


class LiveAnswer:
    """Draws an answer that grows. Use as a context manager; then `draw` as often as wanted."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._done = 0
        self._printed = False
        self._shown: tuple[str, str] = ("", "")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def draw(self, text: str, status: str = "") -> None:
        """Show the text so far and a status line."""
        if (text, status) == self._shown:
            return
        self._shown = (text, status)
        if len(text) < self._done:
            self._print(Text("The answer had to begin again. What is above counts no more.", "dim"))
            self._done = len(text)
        boundary = finished_blocks(text, self._done)
        self._commit(text[self._done : boundary])
        self._done = boundary
        self._live.update(self._tail(text[boundary:], status), refresh=True)

    def finish(self, text: str) -> None:
        """Leave the whole text on the screen."""
        self.draw(text)
        self._live.update("", refresh=True)
        self._commit(text[self._done :])
        self._done = len(text)

    @property
    def _height(self) -> int:
        return max(1, self._console.height - 4)

    def _commit(self, blocks: str) -> None:
        if blocks.strip():
            self._print(_Lines(_markdown(blocks)))

    def _print(self, what: RenderableType) -> None:
        if self._printed:
            self._console.print()
        self._console.print(what)
        self._printed = True

    def _tail(self, block: str, status: str) -> RenderableType:
        parts: list[RenderableType] = []
        if block.strip():
            parts += ([Text()] if self._printed else []) + [
                _Lines(_markdown(_end_of(block)), self._height)
            ]
        if status:
            parts.append(Text(status, "dim"))
        return Group(*parts)


class _Lines:
    """The lines of a renderable without empty ones around them, or only the last few."""

    def __init__(self, content: RenderableType, most: int | None = None) -> None:
        self._content = content
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._content, options.update(height=None), pad=False)
        begin, end = 0, len(lines)
        while begin < end and _is_empty(lines[begin]):
            begin += 1
        while begin < end and _is_empty(lines[end - 1]):
            end -= 1
        if self._most is not None:
            begin = max(begin, end - self._most)
        for line in lines[begin:end]:
            yield from line
            yield Segment.line()


def _is_empty(line: list[Segment]) -> bool:
    return not any(segment.text.strip() for segment in line)


def _end_of(block: str) -> str:
    """The end of a long block, still in its fence."""
    lines = block.splitlines(keepends=True)
    if len(lines) <= _LIVE_LINES:
        return block
    fenced = _FENCE.match(lines[0]) is not None
    return (lines[0] if fenced else "") + "".join(lines[-_LIVE_LINES:])


def _markdown(text: str) -> Markdown:
    # Without hyperlinks: the real address is shown, so a link's text cannot disguise it.
    return Markdown(text, hyperlinks=False, code_theme="ansi_dark")
