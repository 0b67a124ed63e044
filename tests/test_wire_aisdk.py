"""`parse_send`: from whatever bytes come to what a client asks for, or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import valid_id
from durable_llm_streams.wire.aisdk import (
    STREAM_HEADERS,
    History,
    Reading,
    Send,
    parse_history,
    parse_send,
)

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


@pytest.mark.promise("compatible")
def test_the_body_of_a_regeneration() -> None:
    again = {"id": "c", "trigger": "regenerate-message"}
    assert places(again) == [("again", None)]
    assert places({**again, "messageId": "a1"}) == [("again", "a1")]
    assert places({**again, "messages": [ANSWER], "messageId": "a2"}) == [("again", "a2")]
    assert places({**again, "messages": [user("u1", "One"), ANSWER]}) == [("again", "a1")]
    (reading,) = parse({**again, "messageId": "a1"}).readings
    assert (reading.message_id, reading.text, reading.body()) == (None, "", b"")


def test_a_regeneration_is_read_in_every_way_that_it_may_be_meant() -> None:
    shown = [user("u1", "One?")]
    edited = parse({"id": "c", "messages": shown, "messageId": "u1"}).readings[1].message_id
    again = {"id": "c", "messages": shown, "trigger": "regenerate-message"}
    rest = [("again", edited), ("again", "u1"), ("follow", None)]
    assert places(again) == rest
    assert places({**again, "messageId": "u1"}) == rest
    assert places({**again, "messageId": "a1"}) == [("again", "a1"), *rest]


def test_an_edit_under_the_old_id_may_be_a_message_that_never_came() -> None:
    body = {"id": "c", "messages": [ANSWER, user("u1", "One?")], "messageId": "u1"}
    new, edit = parse(body).readings
    assert (new.place, new.anchor, new.message_id) == ("follow", "a1", "u1")
    assert (edit.place, edit.anchor, edit.text) == ("edit", "u1", "One?")
    assert edit.message_id not in (None, "u1")
    assert parse(body).shown


def test_an_edit_under_an_id_of_its_own_is_nothing_else() -> None:
    (edit,) = parse({"id": "c", "message": user("u2", "Two?"), "messageId": "u1"}).readings
    assert (edit.place, edit.anchor, edit.message_id) == ("edit", "u1", "u2")


def test_a_message_alone_may_name_its_parent() -> None:
    send = parse({"id": "c", "message": user("u2", "Two"), "parentId": "a1", "model": "m"})
    (reading,) = send.readings
    assert (reading.place, reading.anchor, reading.message_id) == ("follow", "a1", "u2")
    assert send.model == "m"
    assert first({"id": "c", "message": user("u2", "Two")}).anchor is None


def test_null_is_as_good_as_nothing() -> None:
    nulls = {"messageId": None, "parentId": None, "model": None, "message": None}
    assert first({"id": "c", "messages": [user("u1", "x")], **nulls}).message_id == "u1"


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


def test_the_texts_of_the_parts_are_joined() -> None:
    assert first({"id": "c", "message": user("u1", "One ", "and", " two")}).text == "One and two"


def test_the_fingerprint_tells_texts_apart() -> None:
    texts = ["One", "one", "One ", "O\u0301ne", "Óne"]
    sends = [first({"id": "c", "message": user("u1", text)}) for text in texts]
    assert len({send.content for send in sends}) == len(texts)
    assert first({"id": "other", "message": user("u2", "One")}).content == sends[0].content


def test_the_fingerprint_is_the_same_in_every_version() -> None:
    """Stores keep it: a message that is sent again after an update is the same message."""
    asked = first({"id": "c", "message": user("u1", "One")}).content
    assert asked == "8b12507783d5becacbf2ebe5b01a6002"


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
        ([user("u0", "x"), user("u1", "One"), ANSWER], True),
        ([user("u1", "One")], True),
        ([user("u1", "One"), user("u2", "Two")], True),
        ([user("u1", "One"), {"id": "a2", "role": "assistant"}], False),
        ([user("u1", "One"), {"id": "a2", "role": "assistant"}, user("u2", "Two")], False),
        ([user("u0", "x")], False),
        ([], False),
    ],
)
def test_a_history_knows_an_answer_or_that_its_question_had_none_yet(
    messages: list[dict[str, Any]], known: bool
) -> None:
    assert history(*messages).knows("u1", "a1") is known


def test_a_regeneration_may_be_a_question_that_never_came_behind_the_one_before_it() -> None:
    shown = [user("u1", "One"), ANSWER, user("u2", "Two?")]
    again = parse({"id": "c", "messages": shown, "trigger": "regenerate-message"})
    new = again.readings[-1]
    assert (new.place, new.anchor, new.message_id, new.text) == ("follow", "a1", "u2", "Two?")


def test_the_limit_is_in_bytes_and_can_be_reached() -> None:
    assert first({"id": "c", "message": user("u1", "é" * 500)}).text == "é" * 500
    with pytest.raises(InvalidRequest, match="1000 bytes"):
        parse({"id": "c", "message": user("u1", "é" * 500 + "x")})


def test_of_the_history_only_the_last_message_is_read() -> None:
    junk: list[Any] = [7, None, {"no": "id"}, [[]]]
    assert first({"id": "c", "messages": [*junk, ANSWER, user("u1", "x")]}).anchor == "a1"


@pytest.mark.parametrize("role", ["assistant", "system", "", "x" * 100_000])
def test_the_sentence_about_a_role_is_short(role: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({"id": "c", "message": {**user("u1", "x"), "role": role}})
    assert len(str(caught.value)) < 200


@pytest.mark.promise("compatible")
def test_a_stream_has_the_headers_of_the_protocol() -> None:
    assert STREAM_HEADERS["content-type"] == "text/event-stream"
    assert STREAM_HEADERS["x-vercel-ai-ui-message-stream"] == "v1"


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
@pytest.mark.parametrize("data", [b"[", b'{"id":"c","x":' + b"[", b'{"id":"c","message":['])
def test_deep_nesting_is_an_invalid_request(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_send(data[:-1] + data[-1:] * 200_000, max_text_bytes=LIMIT)


@pytest.mark.promise("foreign-bytes")
@given(bodies | anything, st.booleans())
@settings(max_examples=300)
def test_any_json_is_a_send_or_an_invalid_request(body: object, ascii_only: bool) -> None:
    data = json.dumps(body, ensure_ascii=ascii_only)
    check(data.encode(errors="surrogatepass"))
