"""The operator's file of model dialects, and the settings that abbreviate it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from durable_llm_streams.cli.provider import provider
from durable_llm_streams.cli.settings import Settings
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.requests.dialect import Dialects
from durable_llm_streams.providers.requests.dialect_file import read_rows


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[dialect]\n", ("not a TOML file", "line 1")),
        ("[dialect]\nstream = false\n", ("in double brackets",)),
        ("[[dialects]]\n", ("`dialects` is not known",)),
        ("[[dialect]]\n[[dialect]]\nstraem = false\n", ("row 2", "`straem`", "stream_options")),
        ('[[dialect]]\nstream = "no"\n', ("row 1", "`stream`", "Expected `bool`")),
        ('[[dialect]]\neffort = "much"\n', ("row 1", "`effort`")),
        ('[[dialect]]\nmax_tokens = "limit"\n', ("row 1", "`max_tokens`")),
        ("[[dialect]]\naddress = 7\n", ("row 1", "`address`")),
        ('[[dialect]]\nmodel = ""\n', ("row 1", "`model`")),
        ('[[dialect]]\nheaders = { "a b" = "c" }\n', ("row 1", "`headers`", "a b")),
        ('[[dialect]]\nkey = "a b"\n', ("row 1", "`key`", "a b")),
        ("[[dialect]]\nbody = { messages = [] }\n", ("row 1", "`body`", "messages")),
        ('[[dialect]]\nmodel = "m"\nkey = "api-key"\n', ("row 1", "`key`", "Leave `model` out")),
    ],
)
def test_an_error_in_a_file_is_reported_with_its_place(
    tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "provider.toml"
    path.write_text(content)
    with pytest.raises(InvalidSetting) as caught:
        provider(Settings(OPENAI_API_KEY="k", provider_config=str(path)))
    sentence = str(caught.value)
    assert all(word in sentence for word in ("DLS_PROVIDER_CONFIG", str(path), *words)), sentence


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("none.toml", "bytes.toml", "."):
        with pytest.raises(InvalidSetting, match="DLS_PROVIDER_CONFIG"):
            provider(Settings(OPENAI_API_KEY="k", provider_config=str(tmp_path / name)))


def test_the_example_in_the_documentation_is_a_good_file(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
    path = tmp_path / "provider.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0])
    rows = read_rows(str(path))
    assert len(rows) == 2
    found = Dialects(URL("https://llm.example.org/v1"), rows)
    assert (found.of().key, found.of().stream_options) == ("api-key", False)
    assert not found.of("corp/gemma-9b").system


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"provider_headers": "api-key"}, "NAME: VALUE"),
        ({"provider_headers": ": x"}, "NAME: VALUE"),
        ({"provider_headers": "a b: x"}, "cannot be sent"),
        ({"provider_body": "top_p=1"}, "not a JSON object"),
        ({"provider_body": "[1]"}, "not a JSON object"),
        ({"provider_body": '{"stream": false}'}, "`stream` cannot be set"),
        ({"provider_proxy": "ftp://x"}, "DLS_PROVIDER_PROXY"),
    ],
)
def test_a_setting_for_the_provider_that_cannot_be_used_is_refused(
    values: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidSetting, match=says):
        provider(Settings(OPENAI_API_KEY="k", **values))


@pytest.mark.promise("no-secrets")
def test_the_settings_for_the_provider_are_shown_nowhere() -> None:
    made = Settings(
        provider_headers="api-key: hidden",
        provider_body='{"user": "hidden"}',
        provider_proxy="http://me:hidden@h",
        OPENAI_BASE_URL="http://me:hidden@host.example/v1?key=hidden",
    )
    assert "hidden" not in repr(made)
    chosen = provider(made)
    assert chosen.name == "http://***@host.example/v1"
