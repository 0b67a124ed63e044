"""A server that others can reach starts only if the settings say that this is meant."""

from __future__ import annotations

import pytest

from durable_llm_streams.cli.public import check_public, examine_public, is_public
from durable_llm_streams.cli.settings import Settings, load, names
from durable_llm_streams.errors import InvalidSetting

KEY = {"OPENAI_API_KEY": "sk-1"}
OPEN = {"DLS_HOST": "0.0.0.0", **KEY}
MEANT = {
    "DLS_ANONYMOUS": "yes",
    "DLS_HOSTS": "chat.example.org",
    "DLS_BUDGET_PER_DAY": "1000000",
}
ADVICE = ("DLS_ANONYMOUS=yes", "DLS_HOSTS", "DLS_BUDGET_PER_DAY")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load()


@pytest.mark.parametrize(
    ("host", "hosts", "public"),
    [
        ("127.0.0.1", "", False),
        ("127.1.2.3", "", False),
        ("localhost", "", False),
        ("LocalHost.", "", False),
        ("::1", "", False),
        ("[::1]", "127.0.0.1,[::1],a.localhost", False),
        ("0.0.0.0", "", True),
        ("[::]", "", True),
        ("192.168.1.5", "", True),
        ("fe80::1%eth0", "", True),
        ("no-such-name.invalid", "", True),
        ("127.0.0.1", "chat.example.org", True),
        ("127.0.0.1", "*", True),
    ],
)
def test_a_server_is_public_by_its_address_or_its_names(
    monkeypatch: pytest.MonkeyPatch, host: str, hosts: str, public: bool
) -> None:
    settings = given(monkeypatch, {"DLS_HOST": host, "DLS_HOSTS": hosts})
    assert is_public(settings) is public


@pytest.mark.parametrize(
    "key",
    [
        {"OPENAI_API_KEY": "sk-1"},
        {"OPENROUTER_API_KEY": "sk-1"},
        {"OPENAI_BASE_URL": "http://ann:secret@llm.example.org/v1"},
        {"OPENAI_BASE_URL": "http://llm.example.org/v1?api-key=secret"},
        {"OPENAI_BASE_URL": "http://llm.example.org/v1", "DLS_PROVIDER_HEADERS": "X-Key: secret"},
    ],
    ids=lambda key: "+".join(key),
)
@pytest.mark.parametrize(
    ("meant", "missing"),
    [
        ({}, ADVICE),
        ({**MEANT, "DLS_ANONYMOUS": "no"}, ADVICE[:1]),
        ({**MEANT, "DLS_HOSTS": ""}, ADVICE[1:2]),
        ({**MEANT, "DLS_BUDGET_PER_DAY": "0"}, ADVICE[2:]),
    ],
    ids=["nothing", "not anonymous", "no hosts", "no budget"],
)
def test_a_public_server_with_a_key_is_refused_until_all_is_set(
    monkeypatch: pytest.MonkeyPatch,
    key: dict[str, str],
    meant: dict[str, str],
    missing: tuple[str, ...],
) -> None:
    settings = given(monkeypatch, {"DLS_HOST": "0.0.0.0", **key, **meant})
    with pytest.raises(InvalidSetting) as caught:
        check_public(settings)
    for advice in ADVICE:
        assert (advice in str(caught.value)) is (advice in missing)
    assert "DLS_HOST=127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    (finding,) = examine_public(settings)
    assert (finding.level, finding.text) == ("fatal", str(caught.value))


@pytest.mark.parametrize(
    "environment",
    [
        KEY,
        {**OPEN, **MEANT},
        {"DLS_HOST": "0.0.0.0"},  # the demo costs nothing
        {"DLS_HOST": "0.0.0.0", "OPENAI_BASE_URL": "http://10.0.0.7:11434/v1"},
        {**OPEN, **MEANT, "FORWARDED_ALLOW_IPS": "10.0.0.0/8"},
    ],
    ids=["loopback", "meant", "demo", "no key", "a proxy"],
)
def test_a_server_that_is_in_order_starts_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    settings = given(monkeypatch, environment)
    check_public(settings)
    assert examine_public(settings) == []


def test_behind_a_proxy_on_this_machine_the_sentence_names_the_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = given(monkeypatch, {**KEY, "DLS_HOSTS": "chat.example.org"})
    with pytest.raises(InvalidSetting, match=r"Set DLS_ANONYMOUS=yes .* Unset DLS_HOSTS to serve"):
        check_public(settings)


@pytest.mark.parametrize(
    ("weak", "says"),
    [
        ({"FORWARDED_ALLOW_IPS": "*"}, "FORWARDED_ALLOW_IPS"),
        ({"FORWARDED_ALLOW_IPS": "10.0.0.1, *"}, "FORWARDED_ALLOW_IPS"),
        ({"DLS_HOSTS": "*"}, "DLS_HOSTS"),
        ({"DLS_CONTEXT_TOKENS": "0"}, "DLS_CONTEXT_TOKENS"),
    ],
)
def test_each_weak_point_of_a_public_server_has_its_sentence(
    monkeypatch: pytest.MonkeyPatch, weak: dict[str, str], says: str
) -> None:
    settings = given(monkeypatch, {**OPEN, **MEANT, **weak})
    check_public(settings)
    (finding,) = examine_public(settings)
    assert finding.level == "danger"
    assert says in finding.text
    assert "Set " in finding.text
