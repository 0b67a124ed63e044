"""What a provider's failure means, how long to wait, and what stands in sentence and log."""

from __future__ import annotations

import json
import re
import time
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
LONG = MEANINGS["rate-long"].sentence


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


@pytest.mark.parametrize(("meaning", "error"), WORDINGS["inside"])
def test_an_error_inside_an_answer_is_read_whatever_its_form(meaning: str, error: str) -> None:
    assert failures.reported(json.loads(error), now=NOW).meaning == meaning


@pytest.mark.parametrize(("refuses", "status", "body"), WORDINGS["rung"])
def test_a_continuation_takes_the_next_rung_if_its_form_was_refused(
    refuses: bool, status: int, body: str
) -> None:
    assert read(status, body, continuing=True).refused_rung is refuses
    assert not read(status, body).refused_rung
    later = failures.as_refused_rung(read(status, body))
    assert later.refused_rung is (refuses and MEANINGS[later.meaning].next_rung)


def test_a_template_that_fails_refuses_a_continuation_and_nothing_else() -> None:
    body = '{"error":{"code":500,"message":"Error rendering prompt with jinja template: x"}}'
    assert read(500, body).meaning == "refused"
    assert read(500, body, continuing=True).meaning == "prefill"
    assert read(200, body, continuing=True).meaning == "prefill"
    assert failures.reported(json.loads(body)["error"], continuing=True).refused_rung


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_each_meaning_has_a_sentence_and_one_rule(name: str) -> None:
    meaning = MEANINGS[name]
    assert_sentence(meaning.sentence)
    assert meaning.sentence.isascii()
    assert meaning.asked_again.startswith("yes") is meaning.retryable
    assert not (meaning.retryable and meaning.next_rung)


@pytest.mark.parametrize(("seconds", "headers"), WORDINGS["wait"]["headers"])
def test_headers_give_the_delay_before_a_retry(
    seconds: float | bool, headers: dict[str, str]
) -> None:
    found = failures.wait_asked(headers, NOW, status=429)
    assert found == (pytest.approx(seconds) if seconds is not False else None)


def test_when_a_limit_is_full_again_counts_only_if_it_was_reached() -> None:
    headers = {"x-ratelimit-reset-tokens": "6m0s", "X-RateLimit-Reset": "1780000060"}
    assert failures.wait_asked(headers, NOW, status=503) is None
    assert read(503, "", headers=headers).retry_after is None


@pytest.mark.parametrize(("seconds", "body"), WORDINGS["wait"]["body"])
def test_a_body_gives_the_delay_before_a_retry(seconds: float | bool, body: str) -> None:
    found = failures.wait_asked(None, NOW, body=body, status=429)
    assert found == (pytest.approx(seconds) if seconds is not False else None)


def test_a_wait_that_a_person_can_bear_is_waited() -> None:
    error = read(429, "", headers={"Retry-After": "120"})
    assert (error.meaning, error.retryable, error.retry_after) == ("rate-now", True, 120)
    assert read(503, "", retry_after=5.0).retry_after == 5
    assert read(401, "", headers={"Retry-After": "5"}).retry_after is None, "it will come again"


@pytest.mark.parametrize("status", [429, 503, 500, 408])
def test_a_longer_wait_is_not_waited_and_the_reader_learns_when(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    error = read(status, "", headers={"Retry-After": "32400"})
    monkeypatch.undo()
    time.tzset()
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
    assert str(read(429, "", headers={"Retry-After": "99999999"})) == LONG, "beyond a year"


@pytest.mark.parametrize("body", WORDINGS["daily"])
def test_seconds_that_are_asked_for_a_limit_of_a_day_are_not_its_end(body: str) -> None:
    assert str(read(429, body)) == LONG


@pytest.mark.parametrize(("words", "status", "body"), WORDINGS["says"])
def test_a_sentence_names_the_setting_and_the_number(words: str, status: int, body: str) -> None:
    error = read(status, body)
    assert words in str(error)
    assert not error.retryable


@pytest.mark.parametrize(("field", "status", "body"), rows("unsupported"))
def test_the_field_that_is_not_accepted_is_named(field: str, status: int, body: str) -> None:
    assert failures.unsupported_field(status, body) == (field or None)
    if field in ("stream_options", "temperature", "reasoning_effort", "models"):
        assert read(status, body).meaning == "unsupported"


@pytest.mark.parametrize(
    ("instead", "field"),
    [("max_completion_tokens", "max_completion_tokens"), ("something_else", None)],
)
def test_the_field_that_is_wanted_instead_is_named(instead: str, field: str | None) -> None:
    said = f"Unsupported parameter: 'max_tokens'. Use '{instead}' instead."
    assert failures.field_instead(json.dumps({"error": {"message": said}})) == field


@pytest.mark.parametrize(("rule", "status", "body"), rows("roles"))
def test_the_rule_about_roles_is_named(rule: str, status: int, body: str) -> None:
    assert failures.role_rule(status, body) == (rule or None)


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


def test_the_log_gets_the_providers_error_text() -> None:
    assert read(500, "it is said here").detail == "HTTP 500: it is said here"
    assert "it is said here" in failures.reported({"message": "it is said here"}).detail
    assert read(302, "x").detail == "HTTP 302"


class _Nowhere(AbstractResolver):
    async def resolve(self, host: str, *_: Any, **__: Any) -> list[ResolveResult]:
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None:
        pass


async def test_an_unknown_host_name_is_reported() -> None:
    connector = aiohttp.TCPConnector(resolver=_Nowhere())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("http://provider.invalid/")
    error = failures.unreachable(caught.value)
    assert "does not know the model provider's name" in str(error)
    assert (error.meaning, error.retryable) == ("unreachable", True)
