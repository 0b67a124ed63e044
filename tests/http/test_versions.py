"""Edits and regenerations over HTTP: versions of a message, and nothing lost."""

from __future__ import annotations

import pytest

from tests.app import App, Guest, assistant, begun, read_rest, read_until, user


async def ask(app: App, guest: Guest, text: str, answer: str, message_id: str) -> str:
    """One question with its answer. Returns the answer's id."""
    app.script.pieces = [answer]
    reading = await guest.send(text, message_id=message_id)
    return str(reading.records[0].chunk["messageId"])


def asked(app: App) -> list[str]:
    """What the model got last."""
    return [turn.text for turn in app.script.prompts[-1].turns]


@pytest.mark.promise("versions")
async def test_an_edit_with_a_new_id_is_a_sibling_of_the_old_message(
    app: App, guest: Guest
) -> None:
    await ask(app, guest, "One", "1", "m1")
    await ask(app, guest, "Two", "2", "m2")
    app.script.pieces = ["2b"]
    edit = {"id": "c1", "messages": [user("m1", "One"), user("m2b", "Two?")], "messageId": "m2"}
    assert (await guest.post(edit)).text == "2b"
    assert asked(app) == ["One", "1", "Two?"]
    assert [text for _, text in await guest.said()] == ["One", "1", "Two?", "2b"]
    versions = (await guest.chat())["versions"]
    parents = {version["id"]: version["parent"] for version in versions}
    assert parents["m2"] == parents["m2b"]
    assert len(versions) == 6
    old = await guest.chat(query="?leaf=m2")
    assert [m["parts"][-1]["text"] for m in old["messages"]] == ["One", "1", "Two", "2"]


@pytest.mark.promise("versions")
async def test_an_edit_that_keeps_the_clients_id_gets_one_of_its_own(
    app: App, guest: Guest
) -> None:
    answer = await ask(app, guest, "One", "1", "m1")
    app.script.pieces = ["1b"]
    edit = {"id": "c1", "messages": [user("m1", "One?")], "messageId": "m1"}
    first, again = await guest.post(edit), await guest.post(edit)
    assert first.headers["x-run-id"] == again.headers["x-run-id"]
    assert await guest.said() == [("user", "One?"), ("assistant", "1b")]
    ids = [version["id"] for version in (await guest.chat())["versions"]]
    assert ids[:2] == ["m1", answer]
    assert len(ids) == len(set(ids)) == 4
    edited = {"id": "c1", "messages": [user("m1", "One!")], "messageId": "m1"}
    assert (await guest.post(edited)).headers["x-run-id"] != first.headers["x-run-id"]


async def test_messages_after_an_edit_continue_from_the_edited_text(app: App, guest: Guest) -> None:
    """`useChat` still shows the edited message under its old id, and names no other."""
    await ask(app, guest, "One", "1", "m1")
    shown = [user("m1", "One?")]
    edited = await guest.post({"id": "c1", "messages": shown, "messageId": "m1"})
    answer = assistant(edited.records[0].chunk["messageId"], "1")
    await guest.post({"id": "c1", "messages": [*shown, answer, user("m2", "Two")]})
    assert asked(app) == ["One?", "1", "Two"]
    again = {"id": "c1", "messages": shown, "trigger": "regenerate-message"}
    assert (await guest.post(again)).status == 200
    assert asked(app) == ["One?"]
    assert (await guest.post({**again, "messageId": "m1"})).status == 200
    assert asked(app) == ["One?"]


@pytest.mark.promise("versions")
@pytest.mark.parametrize("named", ["answer", "question", "nothing", "last of the history"])
async def test_an_answer_can_be_made_again(app: App, guest: Guest, named: str) -> None:
    answer = await ask(app, guest, "One", "1", "m1")
    bodies: dict[str, dict[str, object]] = {
        "answer": {"messageId": answer},
        "question": {"messageId": "m1"},
        "nothing": {},
        "last of the history": {"messages": [user("m1", "One")]},
    }
    app.script.pieces = ["1b"]
    reading = await guest.post({"id": "c1", "trigger": "regenerate-message", **bodies[named]})
    assert reading.text == "1b"
    assert reading.records[0].chunk["messageId"] != answer
    assert asked(app) == ["One"]
    chat = await guest.chat()
    assert [m["parts"][-1]["text"] for m in chat["messages"]] == ["One", "1b"]
    assert [v["parent"] for v in chat["versions"]] == [None, "m1", "m1"]
    old = await guest.chat(query=f"?leaf={answer}")
    assert [m["parts"][-1]["text"] for m in old["messages"]] == ["One", "1"]


@pytest.mark.promise("idempotent-send")
async def test_asking_again_while_the_answer_is_written_follows_it(app: App, guest: Guest) -> None:
    body = guest.body("Hi", message_id="m1")
    async with begun(app, guest, body) as (first, _):
        again = {"id": "c1", "trigger": "regenerate-message", "messages": [user("m1", "Hi")]}
        async with await guest.open("POST", "/api/chat", json=again) as second:
            assert second.headers["x-run-id"] == first.headers["x-run-id"]
            app.script.free()
            await read_rest(second)
    assert len(app.script.prompts) == 1


async def test_another_branch_names_the_running_answer_but_does_not_show_it(
    app: App, guest: Guest
) -> None:
    old = await ask(app, guest, "One", "1", "m1")
    app.script.pieces = ["1b"]
    app.script.hold()
    again = {"id": "c1", "trigger": "regenerate-message", "messageId": old}
    async with await guest.open("POST", "/api/chat", json=again) as response:
        app.script.allow()
        reading = await read_until(response, lambda reading: reading.text == "1b")
        written = reading.records[0].chunk["messageId"]
        for leaf, shown in ((old, ["m1", old]), (written, ["m1", written])):
            chat = await guest.chat(query=f"?leaf={leaf}")
            assert [message["id"] for message in chat["messages"]] == shown
            active = chat["active_run"]
            assert (active["message_id"], active["status"]) == (written, "running")
            assert (active["id"], active["model"]) == (response.headers["x-run-id"], "small")
        app.script.free()


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"id": "none", "trigger": "regenerate-message"}, 404, "chat-not-found"),
        ({"id": "none", "message": user("m", "x"), "messageId": "m1"}, 404, "chat-not-found"),
        ({"trigger": "regenerate-message", "messageId": "m9"}, 404, "message-not-found"),
        ({"message": user("m", "x"), "messageId": "m9"}, 404, "message-not-found"),
        ({"message": user("m", "x"), "messageId": "an answer"}, 400, "invalid-request"),
    ],
)
async def test_only_an_existing_question_can_be_edited_or_answered_again(
    app: App, guest: Guest, body: dict[str, object], status: int, problem: str
) -> None:
    answer = await ask(app, guest, "One", "1", "m1")
    if body.get("messageId") == "an answer":
        body = {**body, "messageId": answer}
    reading = await guest.post({"id": "c1", **body})
    assert (reading.status, reading.json["type"].rpartition(":")[2]) == (status, problem)
    assert len(await guest.said()) == 2


@pytest.mark.parametrize("trigger", ["regenerate-message", "submit-message"])
async def test_a_question_that_never_arrived_is_sent_by_the_retry(
    app: App, guest: Guest, trigger: str
) -> None:
    await ask(app, guest, "One", "1", "m1")
    app.script.pieces = ["2"]
    body = {"id": "c1", "trigger": trigger, "message": user("m2", "Two"), "messageId": "m2"}
    reading = await guest.post(body)
    assert reading.status == 200
    assert [text for _, text in await guest.said()] == ["One", "1", "Two", "2"]
