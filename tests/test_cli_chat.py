"""The terminal chat against the stub server: pipes, terminals, cuts, interrupts, cookies."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from durable_llm_streams import chunks
from durable_llm_streams.cli.chat import chat
from durable_llm_streams.cli.cookies import CookieFile, state_dir
from durable_llm_streams.cli.rendering import AnswerText, LiveAnswer, finished_blocks
from durable_llm_streams.cli.terminal import sanitized
from durable_llm_streams.client import Retry
from tests.stub_server import Act, Stub, problem, stub_server, text_log
from tests.waiting import until

LOG = text_log("# Hea", "ding\n\nDurable ", "\x1b[31mst", "reams\x07 *now*.\n\n", "- one\n- two")
PLAIN = "# Heading\n\nDurable streams *now*.\n\n- one\n- two\n"


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


RETRY = Retry(sleep=at_once, random=lambda: 1.0)


class Terminal:
    """One end of a chat: what goes in, what comes out."""

    def __init__(self, state: Path, *, terminal: bool = False) -> None:
        self.state = state
        self.out = io.StringIO()
        self.err = io.StringIO()
        self._console = Console(
            file=self.out, force_terminal=terminal, width=60, height=20, color_system=None
        )
        self._errors = Console(file=self.err, width=1000)

    @property
    def shown(self) -> str:
        return unwound(self.out.getvalue())

    async def chat(self, stub: Stub, *lines: str, **options: Any) -> int:
        options.setdefault("retry", RETRY)
        return await chat(
            stub.url,
            stdin=io.StringIO("".join(f"{line}\n" for line in lines)),
            console=self._console,
            errors=self._errors,
            state=self.state,
            **options,
        )


def unwound(output: str) -> str:
    """What stays on the screen: erased and overwritten lines are gone."""
    lines, row = [""], 0
    for control, text in re.findall(r"\x1b\[([0-9;?]*[A-Za-z])|([^\x1b]+)", output):
        if control.endswith("A"):
            row -= int(control[:-1] or 1)
        elif control == "2K":
            lines[row] = ""
        for piece in re.findall(r"\n|\r|[^\n\r]+", text):
            if piece == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif piece != "\r":
                lines[row] += piece
    return "\n".join(line.rstrip() for line in lines)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server(LOG) as stub:
        yield stub


@pytest.fixture
def end(tmp_path: Path) -> Terminal:
    """A pipe."""
    return Terminal(tmp_path)


@pytest.fixture
def screen(tmp_path: Path) -> Terminal:
    """A terminal."""
    return Terminal(tmp_path, terminal=True)


async def test_lines_from_a_pipe_are_questions(stub: Stub, end: Terminal) -> None:
    assert await end.chat(stub, "Why?", "", "  And now?  ", model="demo") == 0
    assert (end.out.getvalue(), end.err.getvalue()) == (PLAIN * 2, "")
    assert list(stub.questions.values()) == ["Why?", "And now?"]
    bodies = [body for method, *_, body in stub.requests if method == "POST"]
    assert bodies[0]["id"] == bodies[1]["id"]
    assert bodies[0]["model"] == "demo"


@pytest.mark.promise("prefix")
async def test_a_cut_answer_is_printed_once_and_whole(stub: Stub, end: Terminal) -> None:
    stub.acts += [Act(upto=420), Act(503), Act(upto=200, back=2)]
    assert await end.chat(stub, "Why?") == 0
    assert end.out.getvalue() == PLAIN
    assert "connection lost, trying again" in end.err.getvalue()


async def test_an_error_goes_to_stderr_and_into_the_exit_code(stub: Stub, end: Terminal) -> None:
    stub.records = text_log("So far", end=chunks.error("It \x1b[1mbroke."))
    assert await end.chat(stub, "Why?") == 1
    assert (end.out.getvalue(), end.err.getvalue()) == ("So far\n", "It broke.\n")


async def test_a_refusal_is_shown_and_the_chat_continues(stub: Stub, end: Terminal) -> None:
    stub.acts += [problem(409, "An answer is still being written.")]
    assert await end.chat(stub, "Why?", "Again?") == 1
    assert "still being written. (HTTP 409)" in end.err.getvalue()
    assert end.out.getvalue() == PLAIN


async def test_commands_are_not_questions(stub: Stub, end: Terminal) -> None:
    assert await end.chat(stub, "one", "/new", "two", "/chats", "/help", "/quit", "no") == 0
    bodies = [body for method, *_, body in stub.requests if method == "POST"]
    assert len({body["id"] for body in bodies}) == 2
    assert "  c1  Sky\n" in end.out.getvalue()
    assert "/open ID" in end.err.getvalue()
    assert list(stub.questions.values()) == ["one", "two"]


async def test_a_chat_can_be_opened_in_the_middle_of_an_answer(stub: Stub, end: Terminal) -> None:
    stub.records = text_log("Du", "rable ", "st", "reams", "!")
    stub.owners["c9"] = "visitor1"
    assert await end.chat(stub, chat_id="c9") == 0
    assert end.out.getvalue() == "> an *old* question\nDurable streams!\n"
    assert await end.chat(stub, chat_id="c0") == 1
    assert "no such chat" in end.err.getvalue()


async def test_the_next_chat_is_the_same_visitor(stub: Stub, tmp_path: Path) -> None:
    for _ in range(2):
        await Terminal(tmp_path / "deep").chat(stub, "Why?")
    assert set(stub.owners.values()) == {"visitor1"}
    file = tmp_path / "deep" / "cookies.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["cookies.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"http://127.0.0.1:1/": 3}', "\xff"])
async def test_a_corrupt_cookie_file_is_ignored(stub: Stub, end: Terminal, content: str) -> None:
    (end.state / "cookies.json").write_bytes(content.encode("latin-1"))
    assert await end.chat(stub, "Why?") == 0
    stored = json.loads((end.state / "cookies.json").read_text())
    assert stored[stub.url + "/"] == {"visitor": "visitor1"}


async def test_a_directory_that_cannot_be_written_is_ignored(stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert await Terminal(tmp_path / "file" / "below").chat(stub, "Why?") == 0


def test_the_state_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_dir() == tmp_path / "durable-llm-streams"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_dir() == tmp_path / ".local/state/durable-llm-streams"


@pytest.mark.promise("owned")
async def test_cookies_of_one_server_are_not_sent_to_another(stub: Stub, end: Terminal) -> None:
    async with stub_server(LOG) as other:
        await end.chat(stub, "Why?")
        other.visitors = 7
        await end.chat(other, "Why?")
        assert set(other.owners.values()) == {"visitor8"}
    assert len(json.loads((end.state / "cookies.json").read_text())) == 2
    assert CookieFile(end.state, stub.url + "/x?y")._key == stub.url + "/"


async def test_a_terminal_shows_the_answer_once(stub: Stub, screen: Terminal) -> None:
    stub.acts += [Act(upto=420), Act(503)]
    assert await screen.chat(stub, "Why?") == 0
    for text in ("Heading", "Durable streams now.", "• one"):
        assert screen.shown.count(text) == 1, f"{text!r} is not once in {screen.shown!r}"
    assert screen.shown.rstrip().endswith("stub")
    assert "\x1b[31m" not in screen.out.getvalue()
    assert "\x07" not in screen.out.getvalue()


async def test_a_terminal_shows_a_lost_connection(stub: Stub, screen: Terminal) -> None:
    stub.acts += [Act(upto=420), Act(503, headers={"Retry-After": "2"})]

    async def until_drawn(_: float) -> None:
        await until(screen.out.getvalue, lambda drawn: "connection lost, trying again" in drawn)

    assert await screen.chat(stub, "Why?", retry=RETRY._replace(sleep=until_drawn)) == 0
    assert "connection lost" not in screen.shown


async def interrupt_when(condition: Callable[[], bool]) -> None:
    await until(condition)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.promise("stop")
async def test_ctrl_c_stops_the_answer_and_the_chat_continues(stub: Stub, screen: Terminal) -> None:
    stub.records = text_log("So", " far", " good")
    stub.acts += [Act(upto=400, silent=True)]
    pressing = asyncio.create_task(interrupt_when(lambda: "So" in screen.shown))
    assert await screen.chat(stub, "Why?", "/chats") == 0
    await pressing
    assert stub.stopped.is_set()
    assert screen.shown.count("So far") == 1
    for text in ("(stopped)", "Sky"):
        assert text in screen.shown


async def test_ctrl_c_twice_leaves_the_answer(stub: Stub, screen: Terminal) -> None:
    stub.records = text_log("So", " far", " good")
    stub.acts += [Act(upto=400, silent=True)]

    async def cut_off() -> None:
        await interrupt_when(lambda: "So" in screen.shown)
        await stub.__aexit__()
        await interrupt_when(lambda: "connection lost" in screen.out.getvalue())

    async def for_ever(_: float) -> None:
        await asyncio.Event().wait()

    pressing = asyncio.create_task(cut_off())
    assert await screen.chat(stub, "Why?", retry=RETRY._replace(sleep=for_ever)) == 0
    await pressing


@pytest.mark.promise("harmless-text")
def test_harmless_text_has_no_controls() -> None:
    assert sanitized("a\x1b[31;1mb\x1b]8;;http://x\x07c\x1b]0;t\x1b\\d") == "abcd"
    assert sanitized("a\x1b\x9b\x00\r\n\tb\u202ec\u2066") == "a\n\tbc"
    assert sanitized("naïve — 日本 👩‍🚀") == "naïve — 日本 👩‍🚀"


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("one line", "one line"),
        ("one\n\n", "one\n\n"),
        ("one\n\ntwo", "two"),
        ("one\n\n  two", "one\n\n  two"),
        ("- a\n\n  b\n\nc\n\nd", "d"),
        ("one\n\n```py\nx\n\ny\n", "```py\nx\n\ny\n"),
        ("```py\nx\n\ny\n```\n\ntwo", "two"),
        ("````\n```\n\nx\n````\n\ny", "y"),
        ("~~~\n```\n\nx\n\ny", "~~~\n```\n\nx\n\ny"),
        ("1. ```\n\n   x\n   ```\n\ny", "y"),
        ("", ""),
    ],
)
def test_blocks_are_finished_when_nothing_can_join_them(text: str, tail: str) -> None:
    assert text[finished_blocks(text) :] == tail


def test_a_growing_answer_is_drawn_as_the_whole_one() -> None:
    out = io.StringIO()
    text = "# A\n\nB *c*\n\n```py\nx = 1\n\ny = 2\n```\n\n- d\n- e\n"
    with LiveAnswer(Console(file=out, force_terminal=True, width=40, color_system=None)) as live:
        for end in range(len(text)):
            live.draw(text[:end], "status")
        live.finish(text)
    screen = unwound(out.getvalue())
    assert re.sub(r"\s+", " ", screen).count("B c x = 1 y = 2 • d • e") == 1
    assert "status" not in screen


def test_a_live_block_is_never_higher_than_the_screen() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40, height=10, color_system=None)
    with LiveAnswer(console) as live:
        live.draw("```\n" + "".join(f"line {n}\n" for n in range(1000)))
        assert "line 999" in out.getvalue()
        assert out.getvalue().count("line") < 10


@pytest.mark.promise("one-clean-answer")
def test_text_that_was_committed_and_taken_back_is_marked() -> None:
    out = io.StringIO()
    with LiveAnswer(Console(file=out, force_terminal=True, width=80, color_system=None)) as live:
        live.draw("Wrong\n\nway")
        live.draw("")
        live.draw("Right")
        live.finish("Right\n\nway")
    lines = [line for line in unwound(out.getvalue()).splitlines() if line]
    notice = "The answer had to begin again. What is above counts no more."
    assert lines == ["Wrong", notice, "Right", "way"]


def test_parts_and_steps_are_paragraphs_and_a_reset_takes_back_the_step() -> None:
    answer = AnswerText()
    for chunk in (
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "r"},
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "One"},
        {"type": "start-step"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "Two"},
        {"type": "data-run", "data": {"event": "retry"}, "transient": True},
        {"type": "reset-step"},
        {"type": "text-start", "id": "2"},
        {"type": "text-delta", "id": "2", "delta": "Three"},
        {"type": "unheard-of"},
    ):
        answer.feed(chunk)
    assert answer.text == "One\n\nThree"
    assert not answer.thinking
