"""What a provider's failure means, how long to wait, and what stands in sentence and log."""

# ruff: noqa: E501  (the wordings stand as they came)

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.providers.failures.meanings import MEANINGS
from tests.fuzz.harness import assert_sentence
from tests.provider_wordings import PER_DAY, QUOTA, RETRY_34, WORDINGS, google, openai, wrapped

NOW = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC

# What no sentence may say: these words stand in the wordings.
_THEIRS = ("org-x", "sk-abc", "gpt-9", "openrouter.ai", "claude-x", "Cloudflare", "proj_x")


def read(status: int, body: str, **more: Any) -> ModelError:
    make = failures.not_a_stream if status == 200 else None
    if make is not None:
        return make(body, now=NOW, **more)
    return failures.refused(status, body, now=NOW, **more)


@pytest.mark.parametrize(("status", "body", "meaning"), WORDINGS)
def test_a_failure_has_the_meaning_of_its_words(status: int, body: str, meaning: str) -> None:
    error = read(status, body)
    assert error.meaning == meaning
    assert error.retryable is MEANINGS[meaning].retryable
    assert not error.refused_rung
    assert_sentence(str(error))
    assert str(error).isascii()
    assert not any(word in str(error) for word in _THEIRS)


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [wording for wording in WORDINGS if wording[0] != 200 and '"error":{' in wording[1]],
)
def test_the_same_error_inside_an_answer_means_the_same(
    status: int, body: str, meaning: str
) -> None:
    value = json.loads(body)
    error = (value[0] if isinstance(value, list) else value)["error"]
    bare = failures.reported({"code": status, **error}, now=NOW)
    coded = failures.reported({**error, "code": error.get("code") or status}, now=NOW)
    assert meaning in (bare.meaning, coded.meaning)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (None, "broken"),
        ("", "broken"),
        ("Overloaded", "overloaded"),
        ("Context size has been exceeded.", "too-long"),
        (429, "rate-now"),
        ({"code": 502, "message": "Provider returned error"}, "broken"),
        ({"code": "server_error", "message": "x"}, "broken"),
        ({"code": "rate_limit_exceeded", "message": "x"}, "rate-now"),
        ({"type": "invalid_request_error", "message": "x"}, "refused"),
        ({"code": 400, "message": "Provider returned error"}, "refused"),
        ({"message": '{"error":{"code":401,"message":"x"}}'}, "bad-key"),
        (
            {"message": 'provider said: {"error":{"code":503,"message":"x"}} (trace 1)'},
            "overloaded",
        ),
        ([{"error": {"status": "PERMISSION_DENIED"}}], "not-allowed"),
        ({"errors": [{"message": "model `x` not found", "code": 404}]}, "no-model"),
    ],
)
def test_an_error_inside_an_answer_is_read_whatever_its_form(error: Any, meaning: str) -> None:
    assert failures.reported(error, now=NOW).meaning == meaning


@pytest.mark.parametrize(
    ("status", "body", "refuses"),
    [
        (400, '{"error":{"code":400,"message":"Provider returned error"}}', True),
        (404, '{"error":{"code":404,"message":"No endpoints found that support x"}}', True),
        (422, "", True),
        (500, '{"error":{"message":"Jinja Exception: something odd"}}', True),
        (200, '{"error":{"code":400,"message":"Provider returned error"}}', True),
        (400, openai("This model's maximum context length is 10 tokens."), True),
        (401, "", False),
        (402, "", False),
        (429, "", False),
        (500, "", False),
        (503, "", False),
    ],
)
def test_a_continuation_takes_the_next_rung_if_its_form_was_refused(
    status: int, body: str, refuses: bool
) -> None:
    assert read(status, body, continuing=True).refused_rung is refuses
    assert not read(status, body).refused_rung
    later = failures.as_refused_rung(read(status, body))
    assert later.refused_rung is (refuses and later.meaning in _rungs())


def _rungs() -> set[str]:
    return {name for name, meaning in MEANINGS.items() if meaning.next_rung}


def test_a_template_that_fails_refuses_a_continuation_and_nothing_else() -> None:
    body = '{"error":{"code":500,"message":"Error rendering prompt with jinja template: x"}}'
    assert read(500, body).meaning == "refused"
    assert read(500, body, continuing=True).meaning == "prefill"
    assert failures.reported(json.loads(body)["error"], continuing=True).refused_rung


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_each_meaning_has_a_sentence_and_a_rule(name: str) -> None:
    meaning = MEANINGS[name]
    assert_sentence(meaning.sentence)
    assert meaning.sentence.isascii()
    assert all(len(part.split()) <= 25 for part in meaning.sentence.split(". "))
    assert meaning.asked_again.startswith("yes") is meaning.retryable
    assert not (meaning.retryable and meaning.next_rung)
    assert failures.refuses_rung(name) is meaning.next_rung


def test_a_word_that_is_no_meaning_refuses_no_rung() -> None:
    assert not failures.refuses_rung("")


# --- how long to wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"RETRY-AFTER": "1.5"}, 1.5),
        ({"Retry-After": "30s"}, 30),
        ({"Retry-After": "1m30s"}, 90),
        ({"Retry-After": "Thu, 28 May 2026 20:28:40 GMT"}, 120),
        ({"Retry-After": "2026-05-28T20:28:40Z"}, 120),
        ({"Retry-After": "1780000060"}, 60),
        ({"retry-after-ms": "450", "Retry-After": "1"}, 0.45),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-reset-requests": "120ms"}, 0.12),
        (
            {
                "x-ratelimit-reset-requests": "8.64s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "5000",
            },
            8.64,
        ),
        ({"Retry-After": "2", "x-ratelimit-reset-tokens": "6m0s"}, 2),
        ({"X-RateLimit-Reset": "1780000060000"}, 60),
        ({"X-RateLimit-Reset": "1780000060"}, 60),
        ({"RateLimit-Reset": "12"}, 12),
        ({"Retry-After": "99999999"}, failures.LONGEST),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Thu, 28 May 2026 20:00:00 GMT"}, None),
        ({"Retry-After": "Wed, 99 Oct 99999 07:28:00 +9999"}, None),
        ({"Retry-After": "inf"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_headers_say_how_long_to_wait(
    headers: Mapping[str, str] | None, seconds: float | None
) -> None:
    found = failures.wait_asked(headers, NOW, status=429)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_when_a_limit_is_full_again_counts_only_if_it_was_reached() -> None:
    headers = {"x-ratelimit-reset-tokens": "6m0s", "X-RateLimit-Reset": "1780000060"}
    assert failures.wait_asked(headers, NOW, status=503) is None
    assert read(503, "", headers=headers).retry_after is None


def test_the_value_of_the_header_alone_is_understood() -> None:
    assert failures.wait_asked("30", NOW) == 30
    assert failures.wait_asked(None, now=NOW) is None


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (openai("Please try again in 1m2.5s. Visit the docs."), 62.5),
        (openai("Please try again in 20s."), 20),
        (openai("Please try again in 450ms."), 0.45),
        (openai("Please try again in 2h."), 7200),
        (openai("Please retry after 6 seconds."), 6),
        (openai("Please wait 50000 seconds before retrying."), 50000),
        (openai("Rate limit is exceeded. Try again in 5 minutes and 30 seconds."), 330),
        (openai("Please retry in 5.237548564s."), 5.237548564),
        (openai("No deployments available, retry after 30"), 30),
        (openai("slow down (reset after 23s)"), 23),
        (openai("You will regain access on 2026-06-01 at 00:00 UTC."), 272000),
        (openai("Out of call volume quota. Quota will be replenished in 02:12:10."), 7930),
        (openai("try again in 5 more attempts"), None),
        (openai("Try again later."), None),
        (google(429, "RESOURCE_EXHAUSTED", "x", [RETRY_34]), 34),
        (google(429, "RESOURCE_EXHAUSTED", "x", [{"retryDelay": {"seconds": 9}}]), 9),
        ('{"error":{"message":"x","retry_after":12}}', 12),
        ('{"error":{"message":"x","metadata":{"retry_after_ms":1500}}}', 1.5),
        ('{"error":"Model x is currently loading","estimated_time":20.5}', 20.5),
        ('{"error":{"metadata":{"headers":{"X-RateLimit-Reset":"1780000090000"}}}}', 90),
        (wrapped('{"error":{"message":"Please try again in 3s."}}', 429), 3),
        ('{"retry_after":-1}', None),
        ('{"retry_after":"NaN"}', None),
        ('{"retry_after":true}', None),
        ('{"retry_after":1e300}', None),
        ("Please retry after 10 seconds", 10),
    ],
)
def test_a_body_says_how_long_to_wait(body: str, seconds: float | None) -> None:
    found = failures.wait_asked(None, NOW, body=body, status=429)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_a_wait_that_a_person_can_bear_is_waited() -> None:
    error = read(429, "", headers={"Retry-After": "120"})
    assert (error.meaning, error.retryable, error.retry_after) == ("rate-now", True, 120)
    assert read(503, "", retry_after=5.0).retry_after == 5


@pytest.mark.parametrize("status", [429, 503, 500, 408])
def test_a_longer_wait_is_not_waited_and_the_reader_learns_when(status: int) -> None:
    error = read(status, "", headers={"Retry-After": "32400"})
    assert (error.meaning, error.retryable, error.retry_after) == ("rate-long", False, None)
    assert str(error).endswith("Try again after 2026-05-29 05:27 UTC.")


def test_a_limit_of_a_day_says_when_it_ends_if_that_is_known() -> None:
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW + 32400) * 1000)}
    error = {
        "message": "Rate limit exceeded: free-models-per-day.",
        "code": 429,
        "metadata": {"headers": reset, "limit_source": "openrouter_free_tier_daily"},
    }
    body = json.dumps({"error": error})
    for failure in (read(429, body), read(200, body), failures.reported(error, now=NOW)):
        assert failure.meaning == "rate-long"
        assert str(failure).endswith("Try again after 2026-05-29 05:27 UTC.")
    unknown = read(429, '{"error":{"message":"Rate limit exceeded: free-models-per-day."}}')
    assert str(unknown) == MEANINGS["rate-long"].sentence


def test_seconds_that_are_asked_for_a_limit_of_a_day_are_not_its_end() -> None:
    error = read(429, google(429, "RESOURCE_EXHAUSTED", QUOTA, [PER_DAY, RETRY_34]))
    assert str(error) == MEANINGS["rate-long"].sentence


def test_a_time_beyond_a_year_is_not_told() -> None:
    error = read(429, "", headers={"Retry-After": "99999999"})
    assert error.meaning == "rate-long"
    assert str(error) == MEANINGS["rate-long"].sentence


def test_nothing_is_waited_for_a_failure_that_will_come_again() -> None:
    assert read(401, "", headers={"Retry-After": "5"}).retry_after is None


# --- sentences that say more


def test_too_little_credit_for_a_long_answer_names_the_setting_and_the_number() -> None:
    body = '{"error":{"message":"more credits, or fewer max_tokens, can only afford 3919.","code":402}}'
    assert "lower DLS_MAX_TOKENS to 3919." in str(read(402, body))
    assert "lower DLS_MAX_TOKENS." in str(read(402, body.replace("3919", "0")))


def test_an_answers_limit_that_is_too_large_names_the_setting() -> None:
    error = read(400, openai("max_tokens is too large: 32768."))
    assert "DLS_MAX_TOKENS" in str(error)
    assert not error.retryable


# --- what the request can do without


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        (
            422,
            '{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{}}]}',
            "stream_options",
        ),
        (
            422,
            '{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted"}]}}',
            "stream_options",
        ),
        (400, openai("stream_options: Extra inputs are not permitted"), "stream_options"),
        (
            400,
            openai("Validation error at #/stream_options: Extra inputs are not permitted"),
            "stream_options",
        ),
        (400, openai("Extra inputs are not permitted, field: 'stream_options'"), "stream_options"),
        (
            400,
            "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]",
            "stream_options",
        ),
        (400, openai('json: unknown field "stream_options"'), "stream_options"),
        (400, 'Bad request: json: unknown field "stream_options"', "stream_options"),
        (400, openai("Unrecognized request argument supplied: stream_options"), "stream_options"),
        (
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                'Invalid JSON payload received. Unknown name "stream_options": Cannot find field.',
            ),
            "stream_options",
        ),
        (
            400,
            openai(
                "Unknown parameter: 'stream_options'.",
                param="stream_options",
                code="unknown_parameter",
            ),
            "stream_options",
        ),
        (
            422,
            "Failed to deserialize the JSON body into the target type: unknown field `stream_options`, expected one of `model`, `messages`",
            "stream_options",
        ),
        (400, openai("This model does not support stream_options."), "stream_options"),
        (400, openai("stream_options is not supported"), "stream_options"),
        (
            400,
            openai("Additional properties are not allowed ('stream_options' was unexpected)"),
            "stream_options",
        ),
        (
            400,
            openai(
                "litellm.UnsupportedParamsError: x does not support parameters: ['stream_options'], for model=y"
            ),
            "stream_options",
        ),
        (
            400,
            wrapped(
                '{"error":{"message":"stream_options.include_usage: Extra inputs are not permitted"}}'
            ),
            "stream_options",
        ),
        (
            400,
            "Malformed input request: #: extraneous key [stream] is not permitted, please reformat your input and try again.",
            "stream",
        ),
        (400, openai("This model does not support streaming."), "stream"),
        (
            400,
            openai(
                "Your organization must be verified to stream this model.",
                param="stream",
                code="unsupported_value",
            ),
            "stream",
        ),
        (
            400,
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            "max_tokens",
        ),
        (400, openai("max_tokens is too large: 32768."), "max_tokens"),
        (
            400,
            openai("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
            "max_tokens",
        ),
        (
            400,
            openai(
                "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported."
            ),
            "temperature",
        ),
        (400, openai("`temperature` is deprecated for this model."), "temperature"),
        (400, openai("invalid temperature: only 1 is allowed for this model"), "temperature"),
        (400, openai("The 'temperature' parameter is not supported."), "temperature"),
        (
            400,
            '{"code":"x","error":"Model grok-4 does not support parameter reasoningEffort."}',
            "reasoning_effort",
        ),
        (
            400,
            '{"code":"x","error":"Argument not supported on this model: reasoningEffort"}',
            "reasoning_effort",
        ),
        (400, openai("Unknown parameter: 'reasoning.effort'."), "reasoning"),
        (
            400,
            openai("Reasoning is mandatory for this endpoint and cannot be disabled."),
            "reasoning",
        ),
        (400, '{"error":"\\"llama3\\" does not support thinking"}', "thinking"),
        (400, openai("Unrecognized request argument supplied: models"), "models"),
        (
            400,
            openai(
                "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                param="messages[0].role",
                code="unsupported_value",
            ),
            "system",
        ),
        (400, '{"object":"error","message":"System role not supported","code":400}', "system"),
        (
            422,
            "messages[0].role: unknown variant `developer`, expected one of `system`, `user`",
            "developer",
        ),
        (400, openai("Unsupported parameters were given."), None),
        (400, openai("Unknown field in the request"), None),
        (400, openai("The model 'llama3' is not supported"), None),
        (400, openai("This model does not support this user."), None),
        (400, openai("Invalid messages: content is required"), None),
        (400, openai("This model's maximum context length is 8192 tokens."), None),
        (
            422,
            '{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}',
            None,
        ),
        (401, openai("Unknown parameter: 'temperature'."), None),
        (400, "<html>temperature is not supported</html>", None),
        (400, "", None),
    ],
)
def test_the_field_that_is_not_accepted_is_named(status: int, body: str, field: str | None) -> None:
    assert failures.unsupported_field(status, body) == field
    if field in ("stream_options", "temperature", "reasoning_effort", "models"):
        assert read(status, body).meaning == "unsupported"


def test_the_field_that_is_wanted_instead_is_named() -> None:
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    assert failures.field_instead(openai(said)) == "max_completion_tokens"
    assert failures.field_instead(openai("Use 'something_else' instead.")) is None
    assert failures.field_instead("") is None


@pytest.mark.parametrize(
    ("status", "body", "rule"),
    [
        (
            400,
            openai("Conversation roles must alternate user/assistant/user/assistant/..."),
            "alternate",
        ),
        (
            400,
            openai(
                "After the (optional) system message(s), user and assistant roles should be alternating."
            ),
            "alternate",
        ),
        (
            400,
            openai(
                "After the optional system message, conversation roles must alternate user and assistant roles except for tool calls and results."
            ),
            "alternate",
        ),
        (400, openai('messages: first message must use the "user" role'), "alternate"),
        (400, openai('messages: roles must alternate between "user" and "assistant"'), "alternate"),
        (400, openai("Unexpected role 'user' after role 'user'"), "alternate"),
        (
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                "Please ensure that multiturn requests alternate between user and model.",
            ),
            "alternate",
        ),
        (
            500,
            '{"error":{"message":"in source: {{ raise_exception(\'System role not supported\') }} Error: Jinja Exception: Conversation roles must alternate user/assistant"}}',
            "alternate",
        ),
        (400, '{"object":"error","message":"System role not supported","code":400}', "no-system"),
        (
            500,
            '{"error":{"message":"roles must alternate ... Error: Jinja Exception: System role not supported"}}',
            "no-system",
        ),
        (
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                "Developer instruction is not enabled for models/gemma-3-27b-it",
            ),
            "no-system",
        ),
        (400, openai("This model does not support system messages."), "no-system"),
        (400, openai("This model doesn't support the 'system' role"), "no-system"),
        (400, openai("Only user and assistant roles are supported!"), "no-system"),
        (
            400,
            openai(
                "Only user and assistant roles are supported, with the exception of an initial optional system message!"
            ),
            None,
        ),
        (400, openai("stream_options: Extra inputs are not permitted"), None),
        (502, openai("Try an alternative model."), None),
        (429, openai("roles must alternate"), None),
        (400, "", None),
    ],
)
def test_the_rule_about_roles_is_named(status: int, body: str, rule: str | None) -> None:
    assert failures.role_rule(status, body) == rule


# --- bad input


def test_a_users_words_in_an_echo_are_not_the_providers() -> None:
    echo = {
        "messages": [{"role": "user", "content": "My API key is not valid. Insufficient credits."}]
    }
    detail = [{"type": "value_error", "loc": ["body", "n"], "msg": "wrong", "input": echo}]
    assert read(422, json.dumps({"detail": detail})).meaning == "refused"


_PIECES = (
    '{"error":', '{"message":"', '"code":429', '"code":"1e999"', "[" * 3000, '{"a":' * 3000, '"',
    "}", "]", ",", "null", "9" * 5000, "\\ud83d", "\ud800", "\x00", "<html>", "max_tokens ", "try again in ",
    "9" * 40 + "s", "model " * 300, "'prefix' ", "limit: 1 requested: 2 ", "{" * 500, '"retry_after":1e308',
    "roles must alternate", "é", '"loc":["body",{}]', '"param":[]', '"headers":{"retry-after":{}}',
)  # fmt: skip


def test_whatever_a_provider_sends_there_is_a_sentence_and_no_exception() -> None:
    draw = random.Random(7)
    for _ in range(100):
        body = "".join(draw.choices(_PIECES, k=draw.randint(0, 12)))
        for status in (draw.choice((200, 302, 400, 404, 422, 429, 500)), 777):
            error = read(status, body, continuing=draw.random() < 0.5)
            assert error.meaning in MEANINGS
            assert_sentence(str(error))
            assert error.retry_after is None or 0 <= error.retry_after <= failures.MAX_WAIT
        failures.unsupported_field(400, body)
        failures.role_rule(400, body)
        assert failures.reported(body, now=NOW).meaning in MEANINGS


@pytest.mark.parametrize(
    "piece",
    ["model ", "model", "try again in 1s ", "a" * 9, "limit 1 ", "'x' ", "not ", "api key ", "1m"],
)
@pytest.mark.timeout(20)  # it takes some 0.1 s; a pattern that is quadratic, minutes
def test_a_long_body_is_read_in_bounded_time(piece: str) -> None:
    body = piece * (2_000_000 // len(piece))
    for status in (200, 400, 429):
        assert read(status, body).meaning in MEANINGS


@pytest.mark.parametrize("depth", [50, 900, 5000])
def test_an_error_that_is_nested_deep_is_read_as_far_as_is_sensible(depth: int) -> None:
    value: Any = {"message": "Context size has been exceeded."}
    for _ in range(depth):
        value = {"error": value}
    assert failures.reported(value).meaning == "broken"
    assert failures.reported({"message": "Overloaded", "error": value}).meaning == "overloaded"


# --- the operator's log


def test_the_longest_secret_is_taken_out_first() -> None:
    redact = failures.Redactor(["secret-key", "secret-key-with-more"])
    assert redact("it is secret-key-with-more.") == "it is [redacted]."


def test_of_many_secrets_within_each_other_nothing_is_left() -> None:
    secrets = ["secret-key-with-more"[:length] for length in range(8, 21)]
    for order in (secrets, secrets[::-1]):
        redact = failures.Redactor(order)
        assert [redact(f"<{secret}>") for secret in secrets] == ["<[redacted]>"] * len(secrets)


def test_a_secret_that_the_end_of_the_line_cuts_is_taken_out() -> None:
    secret = "hush-hush-hush"
    redact = failures.Redactor([secret])
    for before in range(failures.MAX_DETAIL - len(secret), failures.MAX_DETAIL):
        assert "hush" not in redact("." * before + secret)


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abcdefghijklmnop",
        "Authorization: Bearer abcdefghijklmnop1234",
        "key gsk_abcdefghijklmnopqrst",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz",
        "token eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_does_not_reach_the_log(text: str) -> None:
    logged = failures.Redactor([])(text)
    assert "[redacted]" in logged
    assert not any(part in logged for part in ("abcdefghij", "eyJzdWIi"))


def test_the_log_gets_one_bounded_line() -> None:
    logged = failures.Redactor([None, "short"])("a\n\x1b[31mshort " * 5000)
    assert len(logged) <= failures.MAX_DETAIL
    assert logged.isprintable()
    assert "short" in logged


def test_the_log_gets_what_the_provider_said() -> None:
    assert read(500, "it is said here").detail == "HTTP 500: it is said here"
    assert "it is said here" in failures.reported({"message": "it is said here"}).detail
    assert read(302, "x").detail == "HTTP 302"


# --- no connection


class _Nowhere(AbstractResolver):
    async def resolve(self, host: str, *_: Any, **__: Any) -> list[ResolveResult]:
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None:
        pass


@asynccontextmanager
async def _server(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="x")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _unreachable(url: str, **options: Any) -> ModelError:
    connector = aiohttp.TCPConnector(**options)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises((aiohttp.ClientError, OSError)) as caught:
            await session.get(url)
    return failures.unreachable(caught.value)


async def test_a_certificate_that_is_not_trusted_names_the_setting() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with _server(context) as port:
        error = await _unreachable(f"https://127.0.0.1:{port}/")
    assert "DLS_PROVIDER_CA" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", False)


async def test_tls_to_a_server_without_it_names_the_address() -> None:
    async with _server(None) as port:
        error = await _unreachable(f"https://127.0.0.1:{port}/")
    assert "OPENAI_BASE_URL" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", False)


async def test_a_name_that_nobody_knows_is_told() -> None:
    error = await _unreachable("http://provider.invalid/", resolver=_Nowhere())
    assert "does not know the model provider's name" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", True)


async def test_a_proxy_that_is_not_there_is_told() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("http://provider.invalid/", proxy=f"http://127.0.0.1:{port}")
    error = failures.unreachable(caught.value)
    assert "proxy" in str(error)
    assert error.meaning == "unreachable"


def test_any_other_failure_to_connect_may_pass() -> None:
    error = failures.unreachable(ConnectionRefusedError("no"))
    assert (error.meaning, error.retryable) == ("unreachable", True)
    assert str(error) == MEANINGS["unreachable"].sentence
    assert "no" in error.detail


@pytest.mark.parametrize(
    ("error", "meaning", "over"),
    [
        (failures.cut(ValueError("x")), "cut", False),
        (failures.nothing(), "nothing", False),
        (failures.empty(), "empty", True),
        (failures.unreadable(b"\xff"), "unreadable", False),
        (failures.too_much(), "too-large", False),
        (failures.job_gone("x"), "job-gone", True),
        (failures.job_ended("x"), "job-ended", True),
        (failures.reported({"code": 400}, job_over=True), "refused", True),
    ],
)
def test_the_other_failures_carry_their_meaning(
    error: ModelError, meaning: str, over: bool
) -> None:
    assert error.meaning == meaning
    assert error.job_over is over
    assert error.retryable is MEANINGS[meaning].retryable
