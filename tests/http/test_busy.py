"""A message that comes while an answer is being written in its chat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from durable_llm_streams.server import busy_chat
from durable_llm_streams.source import Turn
from tests.app import JSON, App, Guest, Reading, assistant, begun, read_rest, read_until, user
from tests.http.conftest import app_with
from tests.waiting import until


async def test_it_is_refused_and_the_problem_names_the_blocking_run(app: App, guest: Guest) -> None:
    async with begun(app, guest) as (first, _):
        refused = await guest.send("Two", message_id="m2")
        assert (refused.status, refused.json["type"]) == (409, "urn:durable-llm-streams:chat-busy")
        assert refused.json["run"] == first.headers["x-run-id"]
        async with await guest.start(chat="another") as free:
            app.script.free()
            assert (await read_rest(free)).end == (await read_rest(first)).end == "finish"
    assert (await guest.send("Two", message_id="m2")).status == 200
    assert [role for role, _ in await guest.said()] == ["user", "assistant"] * 2


@app_with(on_busy="queue")
async def test_it_waits_its_turn_and_then_has_the_answer_before_it(app: App, guest: Guest) -> None:
    app.script.pieces = ["1"]
    async with asked_twice(app, guest) as (first, second):
        await read_until(second, lambda reading: bool(reading.comments))
        assert (await guest.chat())["active_run"]["id"] == first.headers["x-run-id"]
        assert second.headers["x-run-id"] != first.headers["x-run-id"]
        app.script.free()
        await read_rest(second)
    turns = [Turn("user", "One"), Turn("assistant", "1"), Turn("user", "Two")]
    assert app.script.prompts[1].turns == turns
    assert [text for _, text in await guest.said()] == ["One", "1", "Two", "1"]


@asynccontextmanager
async def asked_twice(
    app: App, guest: Guest
) -> AsyncIterator[tuple[aiohttp.ClientResponse, aiohttp.ClientResponse]]:
    """The streams of an answer that has begun and of a message that came after it."""
    app.script.hold()
    async with await guest.start("One") as first:
        await until(lambda: len(app.script.prompts) == 1)
        async with await guest.start("Two") as second:
            yield first, second


@pytest.mark.promise("stop")
@app_with(on_busy="queue")
async def test_a_waiting_message_can_be_stopped_by_name(app: App, guest: Guest) -> None:
    async with asked_twice(app, guest) as (one, two):
        run = two.headers["x-run-id"]
        assert (await guest.call("POST", f"/api/chat/c1/stop?run={run}")).json["stopped"] == run
        reading = await read_rest(two)
        assert (reading.types[0], reading.end, reading.text) == ("start", "abort", "")
        app.script.free()
        assert (await read_rest(one)).end == "finish"
    assert len(app.script.prompts) == 1


@pytest.mark.promise("stop")
@app_with(on_busy="interrupt")
async def test_it_interrupts_and_the_text_so_far_is_kept(app: App, guest: Guest) -> None:
    async with begun(app, guest) as (first, _), await guest.start("Two") as second:
        assert (await read_rest(first)).end == "abort"
        app.script.free()
        assert (await read_rest(second)).end == "finish"
    turns = [Turn("user", "Hi"), Turn("assistant", "Hello, "), Turn("user", "Two")]
    assert app.script.prompts[-1].turns == turns


@app_with(on_busy="interrupt")
async def test_many_interrupts_at_once_leave_one_story(app: App, guest: Guest) -> None:
    await guest.get("/api/chats")  # the cookie
    app.script.pieces = ["x "] * 30
    readings = await asyncio.gather(*(guest.send(f"Question {number}") for number in range(8)))
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


async def answered(app: App, guest: Guest, body: JSON, prompts: int = 2) -> Reading:
    """What is answered to a message, once its model was asked."""
    asking = asyncio.create_task(guest.post(body))
    await until(lambda: asking.done() or len(app.script.prompts) == prompts)
    app.script.free()
    return await asking


@pytest.mark.promise("stop")
@pytest.mark.parametrize(
    "app", [{"on_busy": on_busy} for on_busy in ("reject", "queue", "interrupt")], indirect=True
)
async def test_a_new_question_after_leaving_an_answer_stops_it(app: App, guest: Guest) -> None:
    async with an_answer(app, guest) as (stream, answer):
        stream.close()
    assert (await answered(app, guest, asked_on(answer))).end == "finish"
    said = [text for _, text in await guest.said()]
    assert said == ["One", "Hello, ", "Two", "Hello, world."]


async def test_a_question_that_overtakes_the_disconnect_is_answered(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_answer(app, guest) as (stream, answer):
        has_no_readers = app.shared.streams.has_no_readers

        async def leave_meanwhile(run_id: str, seconds: float) -> bool:
            asyncio.get_running_loop().call_soon(stream.close)
            has_left: bool = await has_no_readers(run_id, seconds)
            return has_left

        monkeypatch.setattr(app.shared.streams, "has_no_readers", leave_meanwhile)
        assert (await answered(app, guest, asked_on(answer))).end == "finish"


async def test_an_answer_with_another_reader_is_waited_for(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_chat, "LEAVING_SECONDS", 0.05)
    async with (
        an_answer(app, guest) as (stream, answer),
        await guest.open("GET", "/api/chat/c1/stream") as other,
    ):
        await read_until(other)
        stream.close()
        async with await guest.open("POST", "/api/chat", json=asked_on(answer)) as second:
            app.script.free()
            assert (await read_rest(other)).end == "finish"
            assert (await read_rest(second)).end == "finish"
    said = [text for _, text in await guest.said()]
    assert said == ["One", "Hello, world.", "Two", "Hello, world."]


async def test_a_new_question_after_leaving_before_the_first_word_is_answered(
    app: App, guest: Guest
) -> None:
    app.script.hold()
    async with await guest.start("One", message_id="m1") as stream:
        await until(lambda: len(app.script.prompts) == 1)
        stream.close()
    view = [user("m1", "One"), user("m2", "Two")]
    assert (await answered(app, guest, {"id": "c1", "messages": view})).end == "finish"
    assert [text for _, text in await guest.said()] == ["One", "Two", "Hello, world."]


async def behind_another(guest: Guest) -> list[JSON]:
    """A question with its answer, as a client shows them."""
    first = await guest.send("Zero", message_id="m0")
    return [user("m0", "Zero"), assistant(first.records[0].chunk["messageId"], "Hello")]


@pytest.mark.parametrize("edited", ["m0", "m1"], ids=["an earlier question", "its question"])
async def test_an_edit_after_leaving_the_answer_to_it_is_answered(
    app: App, guest: Guest, edited: str
) -> None:
    before = await behind_another(guest)
    body = {"id": "c1", "messages": [*before, user("m1", "One")]}
    async with an_answer(app, guest, body) as (stream, _):
        stream.close()
    view = [*(before if edited == "m1" else []), user(edited, "Better")]
    edit = {"id": "c1", "messages": view, "messageId": edited}
    assert (await answered(app, guest, edit, prompts=3)).end == "finish"
    assert (await guest.said())[-2:] == [("user", "Better"), ("assistant", "Hello, world.")]


async def test_a_view_that_does_not_hold_the_answer_is_a_race_and_is_refused(
    app: App, guest: Guest
) -> None:
    known = await behind_another(guest)
    body = {"id": "c1", "messages": [*known, user("m1", "One")]}
    async with an_answer(app, guest, body) as (stream, answer):
        stream.close()
        last = {"message": user("m2", "Two"), "parentId": answer}
        for more in ({"messages": [*known, user("m2", "Two")]}, last):
            assert (await guest.post({"id": "c1", **more})).status == 409
    assert (await guest.chat())["active_run"] is not None
    app.script.free()
