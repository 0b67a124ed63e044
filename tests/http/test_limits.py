"""What a client meets at a limit: what is left, the refusal, and when to ask again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec import structs

from durable_llm_streams.server.quotas import Quotas
from tests.app import CONFIG, App, Guest, Reading, begun

from .conftest import app_with


def limited(**quotas: Any) -> pytest.MarkDecorator:
    """An application with these quotas."""
    return app_with(config=structs.replace(CONFIG, quotas=Quotas(**quotas)))


def problem(reading: Reading, name: str) -> Any:
    assert reading.status == 429, reading.raw
    assert reading.json["type"] == f"urn:durable-llm-streams:{name}"
    return reading.json


@pytest.mark.promise("bounded-cost")
@limited(messages_per_hour=2)
async def test_an_accepted_message_says_what_is_left(guest: Guest) -> None:
    first, second = await guest.send(), await guest.send()
    assert first.headers["ratelimit-policy"] == '"messages";q=2;w=3600'
    assert re.fullmatch(r'"messages";r=1;t=(1800|1799)', first.headers["ratelimit"])
    assert second.headers["ratelimit"].startswith('"messages";r=0;t=3')
    assert "retry-after" not in second.headers


@pytest.mark.promise("bounded-cost")
@limited(messages_per_hour=1)
async def test_a_message_over_the_limit_is_refused_and_changes_nothing(
    app: App, guest: Guest
) -> None:
    assert (await guest.send(message_id="m1")).status == 200
    before = await guest.chat()
    refused = await guest.send("Again")
    document = problem(refused, "rate-limited")
    seconds = int(refused.headers["retry-after"])
    assert seconds in range(3590, 3601)
    assert (document["limit"], round(document["retry_after"])) == (1, pytest.approx(seconds, abs=1))
    assert document["detail"] == "The limit is 1 messages an hour. Ask again in 60 minutes."
    assert refused.headers["ratelimit"] == f'"messages";r=0;t={seconds}'
    assert await guest.chat() == before
    repeated = await guest.post(guest.body("Hi", message_id="m1"))
    assert (repeated.status, repeated.text) == (200, "Hello, world.")
    async with app.guest() as other:
        assert (await other.send(chat="c2")).status == 200


@pytest.mark.promise("bounded-cost")
@limited(tokens_per_day=10_000, longest_answer=6_000)
async def test_a_message_over_the_budget_is_refused(guest: Guest) -> None:
    assert (await guest.send()).status == 200
    refused = await guest.send("Again")
    document = problem(refused, "budget-spent")
    assert document["limit"] == 10_000
    assert 0 < document["retry_after"] <= 24 * 3600


@limited(tokens_per_day=10_000)
async def test_what_can_never_be_answered_says_so(guest: Guest) -> None:
    refused = await guest.send("x" * 30_000)
    assert problem(refused, "budget-spent")["retry_after"] is None
    assert "retry-after" not in refused.headers
    assert refused.json["detail"].startswith("This alone is more than is allowed.")


@pytest.mark.promise("bounded-cost")
@limited(tokens_per_day=12_000, longest_answer=100)
async def test_a_long_chat_costs_more_than_a_short_one(app: App, guest: Guest) -> None:
    await guest.send("x" * 9_000)  # 3,000 tokens
    await guest.send("short")  # and the chat before it
    long = app.script.prompts
    assert len(long) == 2
    problem(await guest.send("x" * 12_000), "budget-spent")
    assert (await guest.send("short", chat="c2")).status == 200


@pytest.mark.promise("bounded-cost")
@limited(budget_per_day=10_000, longest_answer=6_000)
async def test_the_budget_of_all_is_one(app: App, guest: Guest) -> None:
    sent = await guest.send()
    assert "ratelimit" not in sent.headers, "what all have left is nobody's business"
    async with app.guest() as other:
        refused = await other.send(chat="c2")
        problem(refused, "budget-spent")
        assert refused.json["detail"].startswith("This server has used what it may use in a day.")


@pytest.mark.promise("bounded-cost")
@limited(cost_per_day=0.5)
async def test_dollars_are_limited_too(guest: Guest) -> None:
    sent = await guest.send()
    assert (sent.status, "ratelimit" in sent.headers) == (200, False)


@limited(streams=1)
async def test_an_owner_has_only_so_many_streams_open(app: App, guest: Guest) -> None:
    async with begun(app, guest):
        for refused in (
            await guest.send("More", chat="c2"),
            await guest.get("/api/chat/c1/stream"),
            await guest.get("/api/events"),
        ):
            assert problem(refused, "too-many-streams")["limit"] == 1
            assert refused.headers["retry-after"] == "5"
        assert (await guest.get("/api/chats/c2")).status == 404, "nothing was sent"
        async with app.guest() as other:
            app.script.free()
            assert (await other.send(chat="c3")).status == 200
    assert (await guest.send("More", chat="c2")).status == 200


async def test_without_a_limit_nothing_is_said_of_one(guest: Guest) -> None:
    sent = await guest.send()
    assert not [name for name in sent.headers if "ratelimit" in name.lower()]
