"""`dls chat`: a chat in the terminal, over HTTP. It survives lost connections and servers."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from durable_llm_streams.client import DurableClient, Event, Retry, State, new_id
from durable_llm_streams.errors import DurableError

from .cookies import CookieFile, state_dir
from .rendering import AnswerText, LiveAnswer
from .terminal import sanitized

_FRAME_SECONDS: Final = 0.1
_HELP: Final = (
    "/new begins another chat, /chats lists them, /open ID goes on with one, /quit leaves."
)


async def chat(
    url: str,
    *,
    chat_id: str | None = None,
    model: str | None = None,
    stdin: TextIO | None = None,
    console: Console | None = None,
    errors: Console | None = None,
    state: Path | None = None,
    retry: Retry | None = None,
) -> int:
    """Chat until the input ends.

    On a terminal, it prompts for questions, and Ctrl-C stops an answer. From a pipe, every line is
    a question. The output to a pipe is plain text: each answer when it is complete.

    Args:
        url: the server's address.
        chat_id: a chat to go on with.
        model: the model to ask for.
        stdin: where questions come from.
        console: where answers go.
        errors: where everything else goes if answers do not go to a terminal.
        state: the directory of the cookie file.
        retry: the client's timeouts and backoff.

    Returns:
        The exit code: 1 if a command or an answer failed.
    """
    cookies = CookieFile(state or state_dir(), url)
    console = console or Console()
    errors = console if console.is_terminal else errors or Console(stderr=True)
    status = _Status()
    async with DurableClient(url, retry=retry, on_state=status.note) as client:
        jar = client.session.cookie_jar
        cookies.load(jar)
        talk = _Talk(client, status, console, errors, model, lambda: cookies.save(jar))
        try:
            return await _converse(talk, stdin or sys.stdin, chat_id)
        finally:
            cookies.save(jar)


async def _converse(talk: _Talk, stdin: TextIO, chat_id: str | None) -> int:
    prompting = stdin.isatty()
    if chat_id is not None:
        await talk.guarded(talk.open(chat_id))
        if talk.failed:
            return 1
    elif prompting:
        talk.say(f"{_HELP} Ctrl-C stops an answer.")
    while (line := _read_line(stdin, prompting)) is not None and line != "/quit":
        await talk.take(line)
    if prompting:
        talk.say(f"`dls chat --chat {talk.chat_id}` goes on with this chat.")
        return 0
    return 1 if talk.failed else 0


class _Status:
    """The state of the connection, as a line of text."""

    def __init__(self) -> None:
        self.line = ""
        self.show: Callable[[str], None] | None = None

    def note(self, state: State) -> None:
        """Note the client's new state."""
        if state.name == "reconnecting":
            wait = f" in {state.delay:.0f} s" if state.delay >= 0.5 else ""
            self.line = f"connection lost, trying again{wait} ({state.reason})"
            if self.show is not None and state.attempt == 1:
                self.show(self.line)
        else:
            self.line = ""


class _Talk:
    """The chat that is open, and the commands around it."""

    def __init__(
        self,
        client: DurableClient,
        status: _Status,
        console: Console,
        errors: Console,
        model: str | None,
        save: Callable[[], object],
    ) -> None:
        self.chat_id = new_id()
        self.failed = False
        self._client = client
        self._status = status
        self._console = console
        self._errors = errors
        self._model = model
        self._save = save
        self._run: str | None = None
        self._stopping: asyncio.Task[None] | None = None
        if not console.is_terminal:
            status.show = self.say

    def say(self, text: str, style: str = "dim") -> None:
        """Print a line that is not part of an answer."""
        self._errors.print(Text(text, style))

    async def take(self, line: str) -> None:
        """Run the command, or ask the question, in a line."""
        command, _, rest = line.partition(" ")
        if command == "/new":
            self.chat_id = new_id()
            self.say("A new chat.")
        elif command == "/chats":
            await self.guarded(self._list())
        elif command == "/open" and rest.strip():
            await self.guarded(self.open(rest.strip()))
        elif command in {"/help", "/open"}:
            self.say(_HELP)
        elif line:
            await self.guarded(self._ask(line), self._interrupt)

    async def guarded(
        self,
        work: Coroutine[Any, Any, None],
        interrupt: Callable[[asyncio.Task[None]], object] = asyncio.Task.cancel,
    ) -> None:
        """Await work that Ctrl-C can end; print its error."""
        task = asyncio.create_task(work)
        try:
            with _on_interrupt(lambda: interrupt(task)):
                await asyncio.wait({task})
        finally:
            task.cancel()
            await asyncio.wait({task})
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, DurableError):
            self.failed = True
            self.say(sanitized(str(error)), "red")
        elif error is not None:
            raise error

    async def open(self, chat_id: str) -> None:
        """Show a chat and go on with it, also with the answer that is being written."""
        snapshot = await self._client.snapshot(chat_id)
        self.chat_id = chat_id
        self._save()
        active = snapshot.get("active_run")
        answer = AnswerText()
        for message in snapshot.get("messages", ()):
            if active is not None and message.get("id") == active.get("message_id"):
                answer.begin_with(message)
            else:
                self._show_message(message)
        if active is not None:
            events = self._client.follow(chat_id, after=active.get("cursor"))
            await self._show(events, answer)

    async def _ask(self, text: str) -> None:
        events = self._client.ask(self.chat_id, text, model=self._model)
        try:
            await self._show(events, AnswerText())
        finally:
            stopping, self._stopping = self._stopping, None
            if stopping is not None:
                stopping.cancel()
                await asyncio.wait({stopping})

    async def _list(self) -> None:
        for one in (await self._client.chats())["chats"]:
            mark = "*" if one["id"] == self.chat_id else " "
            title = " ".join(sanitized(str(one["title"])).split())
            self._console.out(f"{mark} {sanitized(str(one['id']))}  {title}", highlight=False)

    def _show_message(self, message: Mapping[str, Any]) -> None:
        answer = AnswerText()
        answer.begin_with(message)
        if message.get("role") == "user":
            self._console.out("> " + answer.text, highlight=False)
        else:
            self._print(answer.text)

    async def _show(self, events: AsyncGenerator[Event, None], answer: AnswerText) -> None:
        self._run = None
        if self._console.is_terminal:
            with LiveAnswer(self._console) as live:
                drawing = asyncio.create_task(self._draw(live, answer))
                try:
                    await self._read(events, answer)
                finally:
                    drawing.cancel()
                    await asyncio.wait({drawing})
                    live.finish(answer.text)
        else:
            try:
                await self._read(events, answer)
            finally:
                self._print(answer.text)
        self._show_end(answer)

    async def _read(self, events: AsyncGenerator[Event, None], answer: AnswerText) -> None:
        async with aclosing(events):
            async for cursor, chunk in events:
                if self._run is None:
                    self._run = cursor.partition(".")[0]
                    self._save()
                answer.feed(chunk)

    async def _draw(self, live: LiveAnswer, answer: AnswerText) -> None:
        while True:
            waiting = "thinking …" if answer.thinking else "" if answer.text else "…"
            live.draw(answer.text, self._status.line or waiting)
            await asyncio.sleep(_FRAME_SECONDS)

    def _print(self, text: str) -> None:
        if not text:
            return
        if self._console.is_terminal:
            self._console.print(Markdown(text, hyperlinks=False))
        else:
            self._console.out(text.rstrip("\n"), highlight=False)

    def _show_end(self, answer: AnswerText) -> None:
        if answer.error:
            self.failed = True
            self.say(answer.error, "red")
        elif answer.stopped:
            self.say("(stopped)")
        elif self._console.is_terminal and answer.model:
            self.say(answer.model)

    def _interrupt(self, task: asyncio.Task[None]) -> None:
        """Ctrl-C stops the answer on the server; a second one stops waiting for that."""
        if self._stopping is not None:
            task.cancel()
            return
        self._status.line = "stopping … (Ctrl-C again to leave the answer to itself)"
        self._stopping = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        try:
            await self._client.stop(self.chat_id, self._run)
        except DurableError as error:
            self.say(sanitized(str(error)), "red")


def _read_line(stdin: TextIO, prompting: bool) -> str | None:
    """The next line, or None at the end of the input.

    It blocks the event loop on purpose: nothing else runs between two answers, and a thread that
    waits for input could not be ended.
    """
    if not prompting:
        line = stdin.readline()
        return line.strip() if line else None
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input("\n> ").strip()
    except KeyboardInterrupt:
        return ""
    except EOFError:
        return None
    finally:
        signal.signal(signal.SIGINT, previous or signal.SIG_DFL)


@contextmanager
def _on_interrupt(handler: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C call the handler, if the platform and the thread allow it."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, handler)
    except (NotImplementedError, RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
