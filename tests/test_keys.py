"""The file of keys: what is read from it, and what is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable_llm_streams.cli.keys import read_keys
from durable_llm_streams.errors import InvalidSetting

pytestmark = pytest.mark.promise("no-secrets")

ONE, TWO = "a1" * 32, "b2" * 16


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (f"{ONE}\n", [ONE]),
        (f"{ONE}\n{TWO}", [ONE, TWO]),
        (f"# the new one\r\n\r\n  {TWO}  \r\n{ONE}\r\n", [TWO, ONE]),
    ],
    ids=["one", "two", "with-comments"],
)
def test_the_keys_are_read_in_their_order(text: str, keys: list[str], tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(text.encode())
    assert read_keys(str(file)) == [key.encode() for key in keys]


def test_without_a_file_there_are_no_keys() -> None:
    assert read_keys("") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no key"),
        (b"# nothing\n\n", "holds no key"),
        (f"{ONE}\n{TWO[:31]}\n".encode(), "line 2 of .* has 31 characters"),
        (f"{ONE}\n\n{ONE}\n".encode(), "line 3 of .* repeats a key"),
        (b"\xff" * 40, "is not UTF-8 text"),
        (None, "No such file"),
    ],
    ids=["empty", "comments", "short", "twice", "bytes", "missing"],
)
def test_a_file_that_is_no_list_of_keys_is_refused(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSetting, match=f"DLS_SECRET_FILE: .*{said}") as caught:
        read_keys(str(file))
    assert ONE not in str(caught.value)
    assert TWO[:31] not in str(caught.value)
