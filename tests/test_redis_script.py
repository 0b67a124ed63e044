"""Scripts on a real Redis: their files, what the server knows of them, and their first lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from durable_llm_streams.stores.redis.client.database import either_form
from durable_llm_streams.stores.redis.client.script import (
    Script,
    first_line_refused,
    without_first_line,
)
from tests.redis_databases import (
    ADD,
    ECHO,
    KEY,
    server_and_database,
)


async def test_a_script_runs_though_the_server_does_not_know_it_yet(tmp_path: Path) -> None:
    async with server_and_database(tmp_path) as (server, database):
        assert await database.call(ECHO, [KEY], ["a", b"\x00\xff", 1, 2.5]) == [
            KEY.encode(),
            b"a",
            4,
        ]
        assert await server.command("SCRIPT", "EXISTS", ECHO.sha) == [True]
        await server.command("SCRIPT", "FLUSH")
        assert await database.call(ECHO, [KEY], [b"\x00\xff"]) == [KEY.encode(), b"\x00\xff", 1]


async def test_a_mistake_in_a_script_is_not_hidden(tmp_path: Path) -> None:
    async with server_and_database(tmp_path) as (_, database):
        for text in ("#!lua\nreturn nothing()", "#!lua\nthis is no Lua", "return {err='MINE x'}"):
            with pytest.raises(ResponseError):
                await database.call(Script("wrong", text), [KEY], [])
        assert await database.call(ADD, [KEY], []) == 1


def test_a_script_is_its_file_with_what_it_takes_in() -> None:
    read = Script("read")
    assert read.text.startswith("#!lua")
    assert "-- include" not in read.text.replace("`-- include", "")
    assert "local root = KEYS[1]" in read.text


def test_a_script_without_its_first_line_keeps_the_numbers_of_the_others() -> None:
    assert without_first_line("#!lua flags=no-writes\nreturn 1\n") == "\nreturn 1\n"
    assert without_first_line("return 1") == "return 1"
    assert ECHO.plain is not None
    assert ECHO.plain.text.splitlines()[1:] == ECHO.text.splitlines()[1:]
    assert ECHO.plain.sha != ECHO.sha


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("ERR Error compiling script (new function): user_script:1: unexpected symbol", True),
        ("ERR near '#'", True),
        ("ERR Unexpected engine in script shebang: lua", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", False),
        ("ERR user_script:3: Script attempted to access nonexistent global variable", False),
    ],
)
def test_an_error_may_be_due_to_the_first_line(error: str, expected: bool) -> None:
    assert first_line_refused(error) is expected


async def test_a_server_that_does_not_know_the_first_line_gets_scripts_without_it() -> None:
    asked: list[str] = []
    switched: list[bool] = []

    async def old_server(script: Script) -> str:
        asked.append(script.text)
        if script.text.startswith("#!"):
            raise ResponseError("ERR Error compiling script (new function): near '#'")
        return "done"

    assert await either_form(ECHO, old_server, lambda: switched.append(True)) == "done"
    assert [text.startswith("#!") for text in asked] == [True, False]
    assert switched == [True]


async def test_a_script_that_does_not_compile_either_way_keeps_its_first_line() -> None:
    switched: list[bool] = []

    async def server(script: Script) -> str:
        raise ResponseError(f"ERR Error compiling script: {script.text[:2]!r}")

    with pytest.raises(ResponseError, match="#!"):
        await either_form(ECHO, server, lambda: switched.append(True))
    assert switched == []


async def test_a_real_server_runs_a_script_without_its_first_line(tmp_path: Path) -> None:
    async with server_and_database(tmp_path) as (_, database):
        assert ADD.plain is not None
        assert await database.call(ADD.plain, [KEY], []) == 1
