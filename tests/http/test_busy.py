"""A message that comes while an answer is being written in its chat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from msgspec import structs

from durable_llm_streams.source import Turn
from durable_llm_streams.server import moving_on
from tests.app import (
    CONFIG,
    JSON,
    App,
    Guest,
    Reading,
    assistant,
    begun,
    read_until,
    running_app,
    user,
)
from tests.waiting import until


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
        readings: list[Reading] = await asyncio.gather(*sends)
        assert {reading.status for reading in readings} == {200}
        assert {reading.end for reading in readings} <= {"finish", "abort"}
        assert all(reading.done for reading in readings)
        assert len([role for role, _ in await guest.said() if role == "user"]) == 8


# --- a client that leaves an answer and asks something else --------------------------------------


ONE = {"id": "c1", "messages": [user("m1", "One")]}


@asynccontextmanager
async def an_answer(
    app: App, guest: Guest, body: JSON = ONE
) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
    """An answer that has begun: the stream, and the id of the message that it writes."""
    async with begun(app, guest, body) as (stream, reading):
        yield stream, reading.records[0].chunk["messageId"]


def asked_on(answer: str, text: str = "Two") -> JSON:
    """What the AI SDK sends with a part of an answer on the screen."""
    view = [user("m1", "One"), assistant(answer, "Hello")]
    return {"id": "c1", "messages": [*view, user("m2", text)]}


@pytest.mark.promise("stop")
@pytest.mark.parametrize("on_busy", ["reject", "queue", "interrupt"])
async def test_who_leaves_an_answer_and_asks_on_has_stopped_it(
    tmp_path: Path, on_busy: str
) -> None:
    config = structs.replace(CONFIG, on_busy=on_busy)
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        async with an_answer(app, guest) as (stream, answer):
            stream.close()
        asking = asyncio.create_task(guest.post(asked_on(answer)))
        await until(lambda: len(app.script.prompts) == 2)
        app.script.free()
        reading = await asking
        assert (reading.status, reading.end) == (200, "finish")
        assert await guest.said() == [
            ("user", "One"), ("assistant", "Hello, "), ("user", "Two"),
            ("assistant", "Hello, world."),
        ]  # fmt: skip


async def test_what_is_asked_before_the_news_of_leaving_has_come_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running_app(tmp_path) as app,
        app.guest() as guest,
        an_answer(app, guest) as (stream, answer),
    ):
        left, asked_whether_left = app.shared.streams.left, asyncio.Event()

        async def noted(run_id: str, seconds: float) -> bool:
            asked_whether_left.set()
            return await left(run_id, seconds)

        monkeypatch.setattr(app.shared.streams, "left", noted)
        asking = asyncio.create_task(guest.post(asked_on(answer)))
        await until(asked_whether_left.is_set)
        stream.close()
        await until(lambda: len(app.script.prompts) == 2)
        app.script.free()
        assert (await asking).end == "finish"


async def test_an_answer_that_somebody_else_follows_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving_on, "LEAVING_SECONDS", 0.05)
    async with running_app(tmp_path) as app, app.guest() as guest:
        async with (
            an_answer(app, guest) as (stream, answer),
            await guest.open("GET", "/api/chat/c1/stream") as other,
        ):
            await read_until(other, lambda reading: bool(reading.records))
            stream.close()
            async with await guest.open("POST", "/api/chat", json=asked_on(answer)) as second:
                assert second.status == 200
                app.script.free()
                followed = await read_until(other, lambda reading: reading.done)
                assert followed.end == "finish"
                assert (await read_until(second, lambda reading: reading.done)).end == "finish"
        said = [text for _, text in await guest.said()]
        assert said == ["One", "Hello, world.", "Two", "Hello, world."]


async def test_who_leaves_before_the_first_word_and_asks_on_is_answered(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        app.script.hold()
        async with await guest.start("One", message_id="m1") as stream:
            await until(lambda: len(app.script.prompts) == 1)
            stream.close()
        view = [user("m1", "One"), user("m2", "Two")]
        asking = asyncio.create_task(guest.post({"id": "c1", "messages": view}))
        await until(lambda: len(app.script.prompts) == 2)
        app.script.free()
        assert (await asking).end == "finish"
        assert await guest.said() == [
            ("user", "One"), ("user", "Two"), ("assistant", "Hello, world.")
        ]  # fmt: skip


@pytest.mark.parametrize("edited", ["m0", "m1"], ids=["an earlier question", "its question"])
async def test_who_leaves_an_answer_and_edits_what_led_to_it_is_answered(
    tmp_path: Path, edited: str
) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        first = await guest.send("Zero", message_id="m0")
        before = [user("m0", "Zero"), assistant(first.records[0].chunk["messageId"], "Hello")]
        body = {"id": "c1", "messages": [*before, user("m1", "One")]}
        async with an_answer(app, guest, body) as (stream, _):
            stream.close()
        view = [*(before if edited == "m1" else []), user(edited, "Better")]
        edit = {"id": "c1", "messages": view, "messageId": edited}
        asking = asyncio.create_task(guest.post(edit))
        await until(lambda: len(app.script.prompts) == 3)
        app.script.free()
        assert (await asking).end == "finish"
        assert (await guest.said())[-2:] == [("user", "Better"), ("assistant", "Hello, world.")]


async def test_a_view_that_does_not_hold_the_answer_is_a_race_and_is_refused(
    tmp_path: Path,
) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        first = await guest.send("Zero", message_id="m0")
        known = [user("m0", "Zero"), assistant(first.records[0].chunk["messageId"], "Hello")]
        body = {"id": "c1", "messages": [*known, user("m1", "One")]}
        async with an_answer(app, guest, body) as (stream, answer):
            stream.close()
            last = {"message": user("m2", "Two"), "parentId": answer}
            for more in ({"messages": [*known, user("m2", "Two")]}, last):
                assert (await guest.post({"id": "c1", **more})).status == 409
        assert (await guest.chat())["active_run"] is not None
        app.script.free()
