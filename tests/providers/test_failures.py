"""What a provider's failure means, how long to wait, and what stands in sentence and log."""

from __future__ import annotations

import json
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.providers.failures.meanings import MEANINGS
from tests.fuzz.harness import assert_sentence

NOW = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC

# What no sentence may say: these words stand in the wordings.
_THEIRS = ("org-x", "sk-abc", "gpt-9", "openrouter.ai", "claude-x", "Cloudflare", "proj_x")


#: The wordings, see the file.
WORDINGS: dict[str, dict[str, list[Any]]] = tomllib.loads(
    Path(__file__).with_name("failures.toml").read_text(encoding="utf-8")
)


def rows(table: str) -> list[tuple[str, int, str]]:
    """What is expected, the status and the body."""
    return [(name, *row) for name, found in WORDINGS[table].items() for row in found]


MEANT = rows("meaning")


def openai(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error"}})


def read(status: int, body: str, **more: Any) -> ModelError:
    if status == 200:
        return failures.not_a_stream(body, now=NOW, **more)
    return failures.refused(status, body, now=NOW, **more)


@pytest.mark.parametrize(("meaning", "status", "body"), MEANT)
def test_a_failure_has_the_meaning_of_its_words(meaning: str, status: int, body: str) -> None:
    error = read(status, body)
    assert error.meaning == meaning
    assert error.retryable is MEANINGS[meaning].retryable
    assert not error.refused_rung
    assert_sentence(str(error))
    assert str(error).isascii()
    assert not any(word in str(error) for word in _THEIRS)


@pytest.mark.parametrize(
    ("meaning", "status", "body"),
    [each for each in MEANT if each[1] != 200 and re.search(r'"error": ?\{', each[2])],
)
def test_the_same_error_inside_an_answer_means_the_same(
    meaning: str, status: int, body: str
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
    assert read(200, body, continuing=True).meaning == "prefill"
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
    assert not failures.refuses_rung("")


@pytest.mark.parametrize(("seconds", "headers"), WORDINGS["wait"]["headers"])
def test_headers_say_how_long_to_wait(seconds: float | bool, headers: dict[str, str]) -> None:
    found = failures.wait_asked(headers, NOW, status=429)
    assert found == (pytest.approx(seconds) if seconds is not False else None)


def test_when_a_limit_is_full_again_counts_only_if_it_was_reached() -> None:
    headers = {"x-ratelimit-reset-tokens": "6m0s", "X-RateLimit-Reset": "1780000060"}
    assert failures.wait_asked(headers, NOW, status=503) is None
    assert read(503, "", headers=headers).retry_after is None


def test_the_value_of_the_header_alone_is_understood() -> None:
    assert failures.wait_asked("30", NOW) == 30
    assert failures.wait_asked(None, now=NOW) is None


@pytest.mark.parametrize(("seconds", "body"), WORDINGS["wait"]["body"])
def test_a_body_says_how_long_to_wait(seconds: float | bool, body: str) -> None:
    found = failures.wait_asked(None, NOW, body=body, status=429)
    assert found == (pytest.approx(seconds) if seconds is not False else None)


def test_a_wait_that_a_person_can_bear_is_waited() -> None:
    error = read(429, "", headers={"Retry-After": "120"})
    assert (error.meaning, error.retryable, error.retry_after) == ("rate-now", True, 120)
    assert read(503, "", retry_after=5.0).retry_after == 5
    assert read(401, "", headers={"Retry-After": "5"}).retry_after is None, "it will come again"


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
    beyond_a_year = read(429, "", headers={"Retry-After": "99999999"})
    for failure in (unknown, beyond_a_year):
        assert str(failure) == MEANINGS["rate-long"].sentence


def test_seconds_that_are_asked_for_a_limit_of_a_day_are_not_its_end() -> None:
    quota = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
    kind = "type.googleapis.com/google.rpc."
    details = [
        {"@type": f"{kind}QuotaFailure", **quota},
        {"@type": f"{kind}RetryInfo", "retryDelay": "34s"},
    ]
    said = "You exceeded your current quota, please check your plan and billing details."
    error = {"code": 429, "message": said, "status": "RESOURCE_EXHAUSTED", "details": details}
    failure = read(429, json.dumps([{"error": error}]))
    assert str(failure) == MEANINGS["rate-long"].sentence


def test_too_little_credit_for_a_long_answer_names_the_setting_and_the_number() -> None:
    said = "more credits, or fewer max_tokens, can only afford 3919."
    body = json.dumps({"error": {"message": said, "code": 402}})
    assert "lower DLS_MAX_TOKENS to 3919." in str(read(402, body))
    assert "lower DLS_MAX_TOKENS." in str(read(402, body.replace("3919", "0")))


def test_an_answers_limit_that_is_too_large_names_the_setting() -> None:
    error = read(400, openai("max_tokens is too large: 32768."))
    assert "DLS_MAX_TOKENS" in str(error)
    assert not error.retryable


@pytest.mark.parametrize(("field", "status", "body"), rows("unsupported"))
def test_the_field_that_is_not_accepted_is_named(field: str, status: int, body: str) -> None:
    assert failures.unsupported_field(status, body) == (field or None)
    if field in ("stream_options", "temperature", "reasoning_effort", "models"):
        assert read(status, body).meaning == "unsupported"


def test_the_field_that_is_wanted_instead_is_named() -> None:
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    assert failures.field_instead(openai(said)) == "max_completion_tokens"
    assert failures.field_instead(openai("Use 'something_else' instead.")) is None
    assert failures.field_instead("") is None


@pytest.mark.parametrize(("rule", "status", "body"), rows("roles"))
def test_the_rule_about_roles_is_named(rule: str, status: int, body: str) -> None:
    assert failures.role_rule(status, body) == (rule or None)


def test_a_users_words_in_an_echo_are_not_the_providers() -> None:
    echo = {
        "messages": [{"role": "user", "content": "My API key is not valid. Insufficient credits."}]
    }
    detail = [{"type": "value_error", "loc": ["body", "n"], "msg": "wrong", "input": echo}]
    assert read(422, json.dumps({"detail": detail})).meaning == "refused"


_PIECES = (
    *('{"error":', '{"message":"', '"code":429', '"code":"1e999"', "[" * 3000, '{"a":' * 3000, '"'),
    *("}", "]", ",", "null", "9" * 5000, "\\ud83d", "\ud800", "\x00", "<html>", "max_tokens "),
    *("try again in ", "9" * 40 + "s", "model " * 300, "'prefix' ", "limit: 1 requested: 2 "),
    *("{" * 500, '"retry_after":1e308', "roles must alternate", "é", '"loc":["body",{}]'),
    *('"param":[]', '"headers":{"retry-after":{}}'),
)


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


class _Nowhere(AbstractResolver):
    async def resolve(self, host: str, *_: Any, **__: Any) -> list[ResolveResult]:
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None:
        pass


async def test_a_name_that_nobody_knows_is_told() -> None:
    connector = aiohttp.TCPConnector(resolver=_Nowhere())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("http://provider.invalid/")
    error = failures.unreachable(caught.value)
    assert "does not know the model provider's name" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", True)


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
