"""What of an address may be printed."""

from __future__ import annotations

import pytest

from durable_llm_streams.redaction import secrets_of, without_secrets


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://host:80/v1", "http://host:80/v1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
        ("redis://a:1,b:2,c/0", "redis://a:1,b:2,c/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("host:80", "host:80"),
        ("", ""),
        ("sk-or-v1-s3cret-0123456789", "***"),
        ("http://ann:s3cret@host/v1", "http://***@host/v1"),
        ("http://s3cret@host/v1", "http://***@host/v1"),
        ("ann:s3cret@host", "***@host"),
        ("http://host/v1?key=s3cret#s3cret", "http://host/v1"),
        ("http://host/v1#s3cret", "http://host/v1"),
        # badly written
        ("redis://:s3cr/s3cret@host:1", "redis://***@host:1"),
        ("redis://:s3cr@s3cret@host:1", "redis://***@host:1"),
        ("redis://:1?s3cret@host:1", "redis://***"),
        ("redis://:1#s3cret@host:1", "redis://***"),
        ("http://host/v1?a=b@s3cret", "http://***"),
        ("redis://:s3cret", "redis://:***"),
        ("redis://host:s3cret/0", "redis://host:***/0"),
        ("redis://a:1,b:s3cret", "redis://a:1,b:***"),
        ("redis://http://ann:s3cret@host", "redis://http://***@host"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
    assert "s3cret" not in shown


def test_the_secrets_of_an_address_are_known_in_each_form() -> None:
    address = "http://an%40n:p%2Fss@host:80/v1?api-key=a+b%26&x=&y=z"
    assert secrets_of(address) == ["an%40n", "an@n", "p%2Fss", "p/ss", "a b&", "z"]
    assert secrets_of("http://token@host") == ["token"]
    assert secrets_of("http://host/v1") == secrets_of("") == []
