"""Stopping, deleting, renaming, listing; and whether the server is well."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.app import App, Guest, begun, read_rest, read_until
from tests.waiting import until


@pytest.mark.promise("stop", "one-end")
async def test_stopping_ends_the_stream_and_keeps_the_text_so_far(app: App, guest: Guest) -> None:
    async with begun(app, guest) as (response, _):
        stopped = await guest.call("POST", "/api/chat/c1/stop")
        assert stopped.json == {"stopped": response.headers["x-run-id"]}
        reading = await read_rest(response)
        assert (reading.end, reading.done) == ("abort", True)
        assert "text-end" in reading.types
    assert await guest.said() == [("user", "Hi"), ("assistant", "Hello, ")]
    assert (await guest.chat())["messages"][-1]["metadata"]["status"] == "stopped"
    assert (await guest.get("/api/chat/c1/stream")).status == 204
    await until(lambda: app.worker.running == 0)
    app.script.free()


async def test_stopping_when_nothing_is_written_is_no_error(app: App, guest: Guest) -> None:
    reading = await guest.send()
    assert (await guest.call("POST", "/api/chat/c1/stop")).json == {"stopped": None}
    run = reading.headers["x-run-id"]
    assert (await guest.call("POST", f"/api/chat/c1/stop?run={run}")).json == {"stopped": None}
    for name in ("nothing", "%00", "x" * 1000):
        other = await guest.call("POST", f"/api/chat/c1/stop?run={name}")
        assert other.status == 404
        assert other.json["type"].endswith(":run-not-found")


@pytest.mark.promise("stop")
async def test_a_run_that_has_ended_is_no_name_for_the_one_that_is_written_now(
    app: App, guest: Guest
) -> None:
    old = (await guest.send("One")).headers["x-run-id"]
    async with begun(app, guest, guest.body("Two")) as (second, _):
        assert (await guest.call("POST", f"/api/chat/c1/stop?run={old}")).json["stopped"] is None
        app.script.free()
        assert (await read_rest(second)).end == "finish"


@pytest.mark.promise("no-leak")
async def test_deleting_a_chat_in_mid_answer_ends_its_streams_and_its_run(
    app: App, guest: Guest
) -> None:
    async with (
        begun(app, guest) as (response, _),
        await guest.open("GET", "/api/chat/c1/stream") as other,
    ):
        await read_until(other)
        deleted = await guest.call("DELETE", "/api/chats/c1")
        assert (deleted.status, deleted.raw) == (204, b"")
        for stream in (response, other):
            assert (await read_rest(stream)).end == "abort"
    await until(lambda: app.worker.running == 0)
    assert (await guest.get("/api/chats/c1")).status == 404
    assert (await guest.get("/api/chat/c1/stream")).status == 204
    assert (await guest.call("DELETE", "/api/chats/c1")).status == 404
    assert await app.store.operators.newest() == []
    app.script.free()
    assert (await guest.send()).text == "Hello, world."  # the id is free again


async def test_a_chat_can_be_renamed(guest: Guest) -> None:
    await guest.send("A question that gives the title")
    reading = await guest.call("PATCH", "/api/chats/c1", json={"title": "  Über \n 100 %  "})
    assert reading.status == 200
    assert reading.json["title"] == (await guest.chat())["title"] == "Über 100 %"
    assert (await guest.call("PATCH", "/api/chats/none", json={"title": "x"})).status == 404


async def test_chats_are_searched_and_listed_newest_first_by_page(guest: Guest) -> None:
    for number in range(5):
        await guest.send(f"Question {number} %", chat=f"c{number}")
    await guest.send("More", chat="c2")
    await guest.send("Another", chat="other")
    pages: list[list[str]] = []
    query, more = {"q": " % ", "limit": "2"}, None
    for _ in range(3):
        page = (await guest.get("/api/chats", params=query)).json
        pages.append([chat["id"] for chat in page["chats"]])
        more = page["next"]
        query["before"] = more or "none"
    assert pages == [["c2", "c4"], ["c3", "c1"], ["c0"]]
    assert more is None
    listed = (await guest.get("/api/chats")).json["chats"]
    assert [chat["id"] for chat in listed] == ["other", "c2", "c4", "c3", "c1", "c0"]


async def test_a_chat_shows_whether_an_answer_is_written_in_it(app: App, guest: Guest) -> None:
    async with begun(app, guest):
        (chat,) = (await guest.get("/api/chats")).json["chats"]
        assert chat["active"] is True
        assert set(chat) == {"id", "title", "created_at", "updated_at", "active"}
        app.script.free()


async def test_the_models_are_listed_with_the_default_first(guest: Guest) -> None:
    models = (await guest.get("/api/models")).json["models"]
    assert [model["id"] for model in models] == ["small", "large"]
    assert models[0] == {"id": "small", "name": "Small", "demo": False}


@pytest.mark.promise("owned")
async def test_what_is_a_visitors_own_is_kept_in_no_cache(guest: Guest) -> None:
    await guest.send()
    for path in ("/api/chats", "/api/chats/c1", "/api/models"):
        reading = await guest.get(path)
        assert reading.headers["cache-control"] == "no-store"
        assert reading.headers["content-type"] == "application/json"
        assert reading.headers["x-content-type-options"] == "nosniff"


async def test_load_balancers_may_ask_with_head_and_see_whether_it_drains(
    app: App, guest: Guest
) -> None:
    for method in ("GET", "HEAD"):
        for path in ("/healthz", "/readyz"):
            reading = await guest.call(method, path)
            assert (reading.status, reading.headers.get("set-cookie")) == (200, None), path
    app.shared.drain()
    assert (await guest.get("/readyz")).status == 503
    assert (await guest.get("/healthz")).status == 200


@pytest.mark.promise("no-secrets")
async def test_nothing_of_the_stores_path_or_its_drivers_words_reaches_a_visitor(
    app: App, guest: Guest, tmp_path: Path
) -> None:
    await guest.send()
    app.store.file.connection.execute("PRAGMA busy_timeout=0")
    other = sqlite3.connect(tmp_path / "chats.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        for reading in (
            await guest.get("/readyz"),
            await guest.send("Two", message_id="m2"),
            await guest.call("PATCH", "/api/chats/c1", json={"title": "Other"}),
            await guest.call("DELETE", "/api/chats/c1"),
        ):
            assert reading.status == 503
            is_health = reading.headers["content-type"].startswith("text/plain")
            assert is_health or int(reading.headers["retry-after"]) > 0
            said = reading.raw.decode().lower()
            assert not any(
                word in said for word in ("chats.db", str(tmp_path).lower(), "lock", "database")
            )
        assert (await guest.get("/healthz")).status == 200
    finally:
        other.close()
        logged = list(app.errors)
        app.errors.clear()
    assert any("database is locked" in line for line in logged)  # the operator sees it


async def test_the_api_describes_itself(guest: Guest) -> None:
    document = (await guest.get("/openapi.json")).json
    paths = {path: set(methods) for path, methods in document["paths"].items()}
    assert paths == {
        "/api/chat": {"post"},
        "/api/chat/{chat_id}/stream": {"get"},
        "/api/chat/{chat_id}/stop": {"post"},
        "/api/chats": {"get"},
        "/api/chats/{chat_id}": {"get", "patch", "delete"},
        "/api/events": {"get"},
        "/api/models": {"get"},
        "/api/visitor": {"get"},
        "/api/visitor/links": {"post"},
        "/api/visitor/links/use": {"post"},
        "/api/visitor/sign-out": {"post"},
        "/healthz": {"get"},
        "/readyz": {"get"},
    }
