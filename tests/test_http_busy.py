"""A message that comes while an answer is being written in its chat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from durable_llm_streams.runs import Turn
from tests.app import CONFIG, SECONDS, Reading, read_until, running_app, until


async def test_it_is_refused_and_told_which_run_is_in_the_way(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        app.script.hold()
        async with await guest.start(message_id="m1") as first:
            reading = await guest.send("Two", message_id="m2")
            assert reading.status == 409
            assert reading.json["type"].endswith(":chat-busy")
            assert reading.json["run"] == first.headers["x-run-id"]
            app.script.free()
            await read_until(first, lambda reading: reading.done)
        assert (await guest.send("Two", message_id="m2")).status == 200
        assert [role for role, _ in await guest.said()] == ["user", "assistant"] * 2


async def test_another_chat_is_not_in_the_way(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        app.script.hold()
        async with await guest.start(chat="c1"), await guest.start(chat="c2") as second:
            app.script.free()
            assert (await read_until(second, lambda reading: reading.done)).end == "finish"


async def test_it_waits_its_turn_and_then_knows_the_answer_before_it(tmp_path: Path) -> None:
    config = structs.replace(CONFIG, on_busy="queue")
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        app.script.hold()
        app.script.pieces = ["1"]
        async with await guest.start("One", message_id="m1") as first:
            await until(lambda: len(app.script.prompts) == 1)
            async with (
                await guest.start("Two", message_id="m2") as second,
                await guest.start("Three", message_id="m3") as third,
            ):
                await read_until(second, lambda reading: bool(reading.comments))
                assert len(app.script.prompts) == 1
                runs = [response.headers["x-run-id"] for response in (first, second, third)]
                assert len(set(runs)) == 3
                app.script.free()
                for response in (first, second, third):
                    await read_until(response, lambda reading: reading.done)
        turns = [Turn("user", "One"), Turn("assistant", "1"), Turn("user", "Two")]
        assert app.script.prompts[1].turns == turns
        assert app.script.prompts[2].turns == [
            *turns, Turn("assistant", "1"), Turn("user", "Three")
        ]  # fmt: skip
        assert [text for _, text in await guest.said()] == ["One", "1", "Two", "1", "Three", "1"]


async def test_a_chat_with_waiting_messages_is_followed_run_by_run(tmp_path: Path) -> None:
    config = structs.replace(CONFIG, on_busy="queue")
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        app.script.hold()
        async with (
            await guest.start("One", message_id="m1") as one,
            await guest.start("Two", message_id="m2") as two,
        ):
            snapshot = await guest.chat()
            assert snapshot["active_run"]["id"] == one.headers["x-run-id"]
            stopped = await guest.call("POST", "/api/chat/c1/stop")
            assert stopped.json == {"stopped": one.headers["x-run-id"]}
            await until(lambda: len(app.script.prompts) == 2)
            assert (await guest.chat())["active_run"]["id"] == two.headers["x-run-id"]
            app.script.free()
            assert (await read_until(two, lambda reading: reading.done)).end == "finish"


@pytest.mark.promise("stop")
async def test_a_waiting_message_can_be_stopped_by_name(tmp_path: Path) -> None:
    config = structs.replace(CONFIG, on_busy="queue")
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        app.script.hold()
        async with (
            await guest.start("One", message_id="m1") as one,
            await guest.start("Two", message_id="m2") as two,
        ):
            run = two.headers["x-run-id"]
            assert (await guest.call("POST", f"/api/chat/c1/stop?run={run}")).json["stopped"] == run
            reading = await read_until(two, lambda reading: reading.done)
            assert (reading.types[0], reading.end, reading.text) == ("start", "abort", "")
            app.script.free()
            assert (await read_until(one, lambda reading: reading.done)).end == "finish"
        assert len(app.script.prompts) == 1


@pytest.mark.promise("stop")
async def test_it_interrupts_and_what_was_said_is_kept(tmp_path: Path) -> None:
    config = structs.replace(CONFIG, on_busy="interrupt")
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        app.script.hold()
        async with await guest.start("One", message_id="m1") as first:
            app.script.allow(2)
            await read_until(first, lambda reading: reading.text == "Hello, ")
            async with await guest.start("Two", message_id="m2") as second:
                reading = await read_until(first, lambda reading: reading.done)
                assert reading.end == "abort"
                app.script.free()
                assert (await read_until(second, lambda reading: reading.done)).end == "finish"
        assert app.script.prompts[-1].turns == [
            Turn("user", "One"), Turn("assistant", "Hello, "), Turn("user", "Two")
        ]  # fmt: skip


async def test_many_interrupts_at_once_leave_one_story(tmp_path: Path) -> None:
    config = structs.replace(CONFIG, on_busy="interrupt")
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        await guest.get("/api/chats")  # the cookie
        app.script.pieces = ["x "] * 30
        sends = (guest.send(f"Question {n}", message_id=f"m{n}") for n in range(8))
        async with asyncio.timeout(SECONDS):
            readings: list[Reading] = await asyncio.gather(*sends)
        assert {reading.status for reading in readings} == {200}
        assert {reading.end for reading in readings} <= {"finish", "abort"}
        assert all(reading.done for reading in readings)
        assert len([role for role, _ in await guest.said() if role == "user"]) == 8
