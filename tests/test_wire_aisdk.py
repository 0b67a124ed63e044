"""`parse_send`: from whatever bytes come to what a client asks for, or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import valid_id
from durable_llm_streams.wire.aisdk import History, Reading, Send, parse_history, parse_send

LIMIT = 1000


def first(body: object) -> Reading:
    return parse(body).readings[0]


def parse(body: object) -> Send:
    return parse_send(json.dumps(body).encode(), max_text_bytes=LIMIT)


def user(name: str, *texts: str) -> dict[str, Any]:
    return {"id": name, "role": "user", "parts": [{"type": "text", "text": text} for text in texts]}


ANSWER = {"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}]}


@pytest.mark.promise("compatible")
def test_the_default_body_of_the_ai_sdk() -> None:
    """As `HttpChatTransport` of `ai` 7 sends it: all messages, a trigger, no message id."""
    data = (
        b'{"id":"UE9EhJTqkfXmOFTc","messages":[{"parts":[{"type":"text","text":"One"}],"id":"u1",'
        b'"role":"user"},{"id":"a1","metadata":{"model":"m"},"role":"assistant","parts":[{"type":'
        b'"step-start"},{"type":"text","text":"1","state":"done"}]},{"parts":[{"type":"text",'
        b'"text":"Two"}],"id":"u2","role":"user"}],"trigger":"submit-message"}'
    )
    send = parse_send(data, max_text_bytes=LIMIT)
    (reading,) = send.readings
    assert send == Send(chat_id="UE9EhJTqkfXmOFTc", model=None, shown=False, readings=[reading])
    assert reading == Reading(
        place="follow", anchor="a1", message_id="u2", text="Two", content=reading.content
    )
    assert reading.body() == b'{"id":"u2","role":"user","parts":[{"type":"text","text":"Two"}]}'


def places(body: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(reading.place, reading.anchor) for reading in parse(body).readings]


AGAIN = {"trigger": "regenerate-message"}
ONE, TWO = user("u1", "One"), user("u2", "Two")
ODD: list[Any] = [7, None, {"no": "id"}, [[]]]
NULLS = {"messageId": None, "parentId": None, "model": None, "message": None}


@pytest.mark.promise("compatible")
@pytest.mark.parametrize(
    ("body", "found"),
    [
        (AGAIN, [("again", None)]),
        ({**AGAIN, "messageId": "a1"}, [("again", "a1")]),
        ({**AGAIN, "messages": [ANSWER], "messageId": "a2"}, [("again", "a2")]),
        ({**AGAIN, "messages": [ONE, ANSWER]}, [("again", "a1")]),
        ({"message": TWO}, [("follow", None)]),
        ({"message": TWO, "parentId": "a1"}, [("follow", "a1")]),
        ({"message": TWO, "messageId": "u1"}, [("edit", "u1")]),
        ({"messages": [ANSWER, ONE], "messageId": "u1"}, [("follow", "a1"), ("edit", "u1")]),
        ({**NULLS, "messages": [*ODD, ANSWER, ONE]}, [("follow", "a1")]),
    ],
)
def test_a_body_is_read_in_every_way_that_it_may_be_meant(
    body: dict[str, Any], found: list[tuple[str, str | None]]
) -> None:
    assert places({"id": "c", **body}) == found
    is_edit = body.get("messageId") is not None and "trigger" not in body
    assert parse({"id": "c", **body}).shown is is_edit


def test_a_regeneration_is_read_in_every_way_that_it_may_be_meant() -> None:
    shown = [user("u1", "One?")]
    edited = parse({"id": "c", "messages": shown, "messageId": "u1"}).readings[1].message_id
    again = {"id": "c", "messages": shown, **AGAIN}
    rest = [("again", edited), ("again", "u1"), ("follow", None)]
    assert places(again) == rest
    assert places({**again, "messageId": "u1"}) == rest
    assert places({**again, "messageId": "a1"}) == [("again", "a1"), *rest]
    assert parse(again).readings[0].body() == b""
    new = parse({**again, "messages": [ONE, ANSWER, TWO]}).readings[-1]
    assert (new.place, new.anchor, new.message_id, new.text) == ("follow", "a1", "u2", "Two")


def test_an_edit_names_its_new_version_and_the_model() -> None:
    body = {"id": "c", "message": user("u2", "One ", "and", " two"), "messageId": "u1"}
    edit = first(body)
    assert (edit.message_id, edit.text) == ("u2", "One and two")
    assert (parse(body).model, parse({**body, "model": "m"}).model) == (None, "m")


def test_an_edit_under_the_old_id_gets_one_that_follows_from_its_text() -> None:
    def edit(name: str, text: str) -> str:
        new = parse({"id": "c", "messages": [user(name, text)], "messageId": name})
        found = new.readings[1].message_id
        assert found is not None
        assert valid_id(found)
        return found

    assert edit("u1", "One") == edit("u1", "One")
    assert len({edit("u1", "One"), edit("u1", "Two"), edit("u2", "One"), "u1"}) == 4
    assert edit("x" * 128, "One") != edit("x" * 128, "Two")


def test_the_fingerprint_distinguishes_texts() -> None:
    texts = ["One", "one", "One ", "O\u0301ne", "Óne"]
    sends = [first({"id": "c", "message": user("u1", text)}) for text in texts]
    assert len({send.content for send in sends}) == len(texts)
    assert first({"id": "other", "message": user("u2", "One")}).content == sends[0].content
    # Stores keep it: a message that is sent again after an update is the same message.
    assert sends[0].content == "8b12507783d5becacbf2ebe5b01a6002"


def history(*messages: dict[str, Any], **more: Any) -> History:
    body = {"id": "c", "messages": [*messages, user("new", "x")], **more}
    return parse_history(json.dumps(body).encode())


def test_a_history_has_the_id_and_role_of_each_message_but_the_new_one() -> None:
    odd: Any = [7, {"id": "m"}, {"role": "user"}]
    assert history(user("u1", "One"), ANSWER, *odd) == History(
        [("u1", "user"), ("a1", "assistant"), ("", ""), ("m", ""), ("", "")], True
    )
    alone = {"message": user("new", "x")}
    assert history(user("u1", "One"), **alone) == History([], False)
    assert parse_history(json.dumps({"id": "c", **alone}).encode()) == History([], False)
    assert parse_history(b'{"id":"c","messages":[]}') == History([], True)


@pytest.mark.parametrize(
    ("messages", "known"),
    [
        ([user("u0", "x"), ONE, ANSWER], True),
        ([ONE], True),
        ([ONE, TWO], True),
        ([ONE, {"id": "a2", "role": "assistant"}], False),
        ([ONE, {"id": "a2", "role": "assistant"}, TWO], False),
        ([user("u0", "x")], False),
        ([], False),
    ],
)
def test_a_history_names_an_answer_or_that_its_question_had_none_yet(
    messages: list[dict[str, Any]], known: bool
) -> None:
    assert history(*messages).knows("u1", "a1") is known


def check(data: bytes) -> None:
    """A valid Send or InvalidRequest with a sentence; nothing else."""
    try:
        send = parse_send(data, max_text_bytes=LIMIT)
    except InvalidRequest as error:
        if not str(error).endswith("."):
            raise AssertionError(error) from error
        return
    assert valid_id(send.chat_id)
    assert send.readings
    for reading in send.readings:
        assert reading.place in ("follow", "edit", "again")
        assert (reading.message_id is None) == (reading.place == "again")
        if reading.message_id is not None:
            assert valid_id(reading.message_id)
            assert 0 < len(reading.text.encode()) <= LIMIT
            assert json.loads(reading.body())["parts"] == [{"type": "text", "text": reading.text}]
        for text in (reading.anchor, send.model, reading.content):
            assert text is None or text.encode().decode() == text


ids = st.sampled_from(["c1", "m1", "", "é", "\ud800", "a/b"]) | st.text(max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | ids
parts = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["text", "file"]) | scalars, "text": ids | scalars}
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "id": ids | scalars,
        "role": st.sampled_from(["user", "user", "assistant"]) | scalars,
        "parts": st.lists(parts, max_size=3) | scalars,
    },
)
#: Bodies that are nearly right, and anything at all where something is expected.
bodies = st.fixed_dictionaries(
    {},
    optional={
        "id": ids | scalars,
        "trigger": st.sampled_from(["submit-message", "regenerate-message"]) | scalars,
        "messages": st.lists(messages | scalars, max_size=3) | scalars,
        "message": messages | scalars,
        "messageId": ids | scalars,
        "parentId": ids | scalars,
        "model": ids | scalars,
    },
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ids, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.promise("foreign-bytes")
@given(bodies | anything, st.booleans())
@settings(max_examples=300)
def test_any_json_is_a_send_or_an_invalid_request(body: object, ascii_only: bool) -> None:
    data = json.dumps(body, ensure_ascii=ascii_only)
    check(data.encode(errors="surrogatepass"))
