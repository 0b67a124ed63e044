"""`parse_send`: from whatever bytes come to what a client asks for, or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.model import valid_id
from durable_llm_streams.wire.aisdk import STREAM_HEADERS, Send, parse_send

LIMIT = 1000


def parse(body: object) -> Send:
    return parse_send(json.dumps(body).encode(), max_text_bytes=LIMIT)


def user(name: str, *texts: str) -> dict[str, Any]:
    return {"id": name, "role": "user", "parts": [{"type": "text", "text": text} for text in texts]}


ANSWER = {"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}]}


def test_the_default_body_of_the_ai_sdk() -> None:
    """As `HttpChatTransport` of `ai` 7 sends it: all messages, a trigger, no message id."""
    data = (
        b'{"id":"UE9EhJTqkfXmOFTc","messages":[{"parts":[{"type":"text","text":"One"}],"id":"u1",'
        b'"role":"user"},{"id":"a1","metadata":{"model":"m"},"role":"assistant","parts":[{"type":'
        b'"step-start"},{"type":"text","text":"1","state":"done"}]},{"parts":[{"type":"text",'
        b'"text":"Two"}],"id":"u2","role":"user"}],"trigger":"submit-message"}'
    )
    send = parse_send(data, max_text_bytes=LIMIT)
    assert send == Send(
        chat_id="UE9EhJTqkfXmOFTc",
        place="follow",
        anchor="a1",
        message_id="u2",
        text="Two",
        content=send.content,
        model=None,
    )
    assert send.body() == b'{"id":"u2","role":"user","parts":[{"type":"text","text":"Two"}]}'


def test_the_body_of_a_regeneration() -> None:
    again = {"id": "c", "trigger": "regenerate-message"}
    assert parse(again).anchor is None
    assert parse({**again, "messageId": "a1"}).anchor == "a1"
    assert parse({**again, "messages": [user("u1", "One")]}).anchor == "u1"
    assert parse({**again, "messages": [ANSWER], "messageId": "a2"}).anchor == "a2"
    send = parse({**again, "messages": [user("u1", "One"), ANSWER]})
    assert (send.place, send.anchor, send.message_id, send.text) == ("again", "a1", None, "")


def test_a_regeneration_knows_the_id_that_an_edit_of_its_message_got() -> None:
    shown = [user("u1", "One?")]
    edit = parse({"id": "c", "messages": shown, "messageId": "u1"})
    again = parse({"id": "c", "messages": shown, "trigger": "regenerate-message"})
    assert (again.anchor, again.edited) == ("u1", edit.message_id)
    other = {"id": "c", "messages": shown, "trigger": "regenerate-message", "messageId": "a1"}
    assert parse(other).edited is None


def test_a_message_alone_may_name_its_parent() -> None:
    send = parse({"id": "c", "message": user("u2", "Two"), "parentId": "a1", "model": "m"})
    assert (send.place, send.anchor, send.message_id, send.model) == ("follow", "a1", "u2", "m")
    assert parse({"id": "c", "message": user("u2", "Two")}).anchor is None


def test_null_is_as_good_as_nothing() -> None:
    nulls = {"messageId": None, "parentId": None, "model": None, "message": None}
    assert parse({"id": "c", "messages": [user("u1", "x")], **nulls}).message_id == "u1"


def test_an_edit_with_an_id_of_its_own_keeps_it() -> None:
    send = parse({"id": "c", "messages": [user("new", "x")], "messageId": "u1"})
    assert (send.place, send.anchor, send.message_id) == ("edit", "u1", "new")


def test_an_edit_under_the_old_id_gets_one_that_follows_from_its_text() -> None:
    def edit(name: str, text: str) -> str:
        send = parse({"id": "c", "messages": [user(name, text)], "messageId": name})
        assert send.message_id is not None
        assert valid_id(send.message_id)
        return send.message_id

    assert edit("u1", "One") == edit("u1", "One")
    assert len({edit("u1", "One"), edit("u1", "Two"), edit("u2", "One"), "u1"}) == 4
    assert edit("x" * 128, "One") != edit("x" * 128, "Two")


def test_the_texts_of_the_parts_are_joined() -> None:
    assert parse({"id": "c", "message": user("u1", "One ", "and", " two")}).text == "One and two"


def test_the_fingerprint_tells_texts_apart() -> None:
    texts = ["One", "one", "One ", "O\u0301ne", "Óne"]
    sends = [parse({"id": "c", "message": user("u1", text)}) for text in texts]
    assert len({send.content for send in sends}) == len(texts)
    assert parse({"id": "other", "message": user("u2", "One")}).content == sends[0].content


def test_the_limit_is_in_bytes_and_can_be_reached() -> None:
    assert parse({"id": "c", "message": user("u1", "é" * 500)}).text == "é" * 500
    with pytest.raises(InvalidRequest, match="1000 bytes"):
        parse({"id": "c", "message": user("u1", "é" * 500 + "x")})


def test_of_the_history_only_the_last_message_is_read() -> None:
    junk: list[Any] = [7, None, {"no": "id"}, [[]]]
    assert parse({"id": "c", "messages": [*junk, ANSWER, user("u1", "x")]}).anchor == "a1"


@pytest.mark.parametrize("role", ["assistant", "system", "", "x" * 100_000])
def test_the_sentence_about_a_role_is_short(role: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({"id": "c", "message": {**user("u1", "x"), "role": role}})
    assert len(str(caught.value)) < 200


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
    assert send.place in ("follow", "edit", "again")
    assert (send.message_id is None) == (send.place == "again")
    if send.message_id is not None:
        assert valid_id(send.message_id)
        assert 0 < len(send.text.encode()) <= LIMIT
        assert json.loads(send.body())["parts"] == [{"type": "text", "text": send.text}]
    assert send.edited is None or valid_id(send.edited) or send.place == "again"
    for text in (send.anchor, send.model, send.edited, send.content):
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


@given(st.binary(max_size=60))
@example(b"\xff")
@example(b'{"id":"\\ud800"}')
@example(b"[" * 200_000)
@example(b'{"id":"c","x":' + b"[" * 200_000)
@example(b'{"id":"c","message":' + b'{"id":' * 200_000)
def test_any_bytes_are_a_send_or_an_invalid_request(data: bytes) -> None:
    check(data)


@given(bodies | anything, st.booleans())
@settings(max_examples=300)
def test_any_json_is_a_send_or_an_invalid_request(body: object, ascii_only: bool) -> None:
    data = json.dumps(body, ensure_ascii=ascii_only)
    check(data.encode(errors="surrogatepass"))


@given(bodies, st.data())
def test_a_body_that_is_damaged_is_a_send_or_an_invalid_request(
    body: object, data: st.DataObject
) -> None:
    whole = json.dumps(body).encode()
    at = data.draw(st.integers(0, len(whole)))
    check(
        whole[:at] + data.draw(st.binary(max_size=3)) + whole[data.draw(st.integers(0, 9)) + at :]
    )
