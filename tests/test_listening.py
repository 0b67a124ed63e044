"""What the server listens on, and the address that it prints."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from durable_llm_streams.cli.listening import listen, url_of
from durable_llm_streams.errors import InvalidSetting


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        listeners = listen(host, port)
        for listener in listeners:
            stack.enter_context(listener)
            listener.listen()
        yield listeners


def opened(address: str) -> None:
    """Connect to an address as a browser reads it."""
    host, _, port = address.removeprefix("http://").split("/")[0].partition(" ")[0].rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_the_address_that_is_printed_opens(host: str) -> None:
    with listening(host) as listeners:
        address = url_of(listeners)
        assert address.startswith("http://127.0.0.1:")
        opened(address)
        assert ("every other address" in address) is (host == "0.0.0.0")


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]", " [::1] "])
def test_an_ipv6_address_may_stand_in_brackets_and_is_printed_so(host: str) -> None:
    with listening(host) as listeners:
        assert url_of(listeners).startswith("http://[::1]:")
        opened(url_of(listeners))


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]"])
def test_every_address_is_of_both_kinds_and_the_one_printed_opens(host: str) -> None:
    with listening(host) as listeners:
        port = listeners[0].getsockname()[1]
        assert url_of(listeners).startswith(f"http://127.0.0.1:{port} (and every other")
        for each in ("127.0.0.1", "[::1]"):
            opened(f"http://{each}:{port}")


@needs_ipv6
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST."])
def test_localhost_is_both_loopback_addresses(host: str) -> None:
    with listening(host) as listeners:
        found = [listener.getsockname()[:2] for listener in listeners]
        assert [address for address, _ in found] == ["127.0.0.1", "::1"]
        assert len({port for _, port in found}) == 1


def test_below_a_path_the_address_has_it() -> None:
    with listening("127.0.0.1") as listeners:
        assert url_of(listeners, "/chat").endswith("/chat/")


def test_localhost_is_not_half_taken() -> None:
    """Else the browser would reach the other program where this one's address was printed."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InvalidSetting, match=r"Cannot listen on localhost, port \d+ \(.*\)\."):
            listen("localhost", other.getsockname()[1])


@pytest.mark.parametrize("host", ["no such host", "256.0.0.1", "a" * 70, "[]x"])
def test_an_invalid_host_is_refused_with_a_sentence(host: str) -> None:
    with pytest.raises(InvalidSetting, match="Set DLS_PORT or DLS_HOST to another one"):
        listen(host, 0)
