"""By which names the server may be addressed, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.server.edge import Hosts, accepted_hosts
from tests.app import App, running_app
from tests.edge.raw import connected, statuses

OWN = ["localhost", "LOCALHOST:8000", "a.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8000"]
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "[::2]", "",
           "a b", "127.0.0.1@evil.example", "localhost:80:80", "x" * 300]  # fmt: skip


def test_a_server_on_loopback_accepts_the_names_of_loopback() -> None:
    for bound in ("127.0.0.1", "localhost", "::1", "[::1]", "127.0.1.1"):
        hosts = Hosts(accepted_hosts((), bound))
        assert [host for host in OWN if not hosts.accepts(host)] == []
        assert [host for host in FOREIGN if hosts.accepts(host)] == []


def test_any_other_server_accepts_all_names_until_they_are_listed() -> None:
    for bound in ("0.0.0.0", "::", "192.0.2.1", "chat.example.org"):
        assert Hosts(accepted_hosts((), bound)).accepts("evil.example")
        listed = Hosts(accepted_hosts(("chat.example.org",), bound))
        assert not listed.accepts("evil.example")
        assert listed.accepts("chat.example.org:8443")
        assert listed.accepts("localhost")  # health checks and `dls chat`, on the machine


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("Chat.Example.org.", ["chat.example.org", "CHAT.example.ORG."], ["example.org"]),
        ("*.example.org", ["a.example.org", "a.b.example.org:1"], ["example.org", "aexample.org"]),
        ("*", ["anything", ""], []),
        ("192.0.2.1", ["192.0.2.1:80"], ["192.0.2.2"]),
        ("[2001:db8::1]", ["[2001:db8::1]:80"], ["2001:db8::1"]),
    ],
)
def test_a_name_stands_for_itself_or_for_its_subdomains(
    name: str, accepted: list[str], refused: list[str]
) -> None:
    hosts = Hosts([name])
    assert [each for each in accepted if not hosts.accepts(each)] == []
    assert [each for each in refused if hosts.accepts(each)] == []


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "a/b", "a b", "", "*.", "é"])
def test_a_name_that_is_none_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(InvalidSetting, match=r"DLS_HOSTS .*`chat\.example\.org`.*\.$"):
        Hosts([name])


async def test_a_request_for_another_host_is_told_what_to_set(tmp_path: Path) -> None:
    async with running_app(tmp_path, hosts=("chat.example.org",)) as app, app.guest() as guest:
        evil = {"Host": "evil.example"}
        for method, path in (
            ("GET", "/"), ("GET", "/api/chats"), ("POST", "/api/chat"), ("OPTIONS", "/api/chat"),
            ("GET", "/api/chats/healthz"), ("POST", "/healthz"),
        ):  # fmt: skip
            refused = await guest.call(method, path, headers=evil)
            assert refused.status == 421, (method, path)
            assert refused.json["type"].endswith(":unknown-host")
            assert "'evil.example'" in refused.json["detail"]
            assert "DLS_HOSTS" in refused.json["detail"]
        for path in ("/healthz", "/readyz"):
            assert (await guest.get(path, headers={"Host": "10.0.0.7:8000"})).status == 200
        own = {"Host": "chat.example.org"}
        assert (await guest.get("/api/chats", headers=own)).status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\n", 200),  # health checks of balancers
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", 200),
    ],
)
async def test_a_request_names_its_host_exactly_once(app: App, head: bytes, status: int) -> None:
    async with connected(app, head + b"Connection: close\r\n\r\n") as client:
        answer = await client.rest()
    assert statuses(answer) == [status]
    if status == 400:
        assert b"`Host`" in answer
