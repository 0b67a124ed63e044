"""The file with the keys that sign visitors' cookies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from durable_llm_streams.errors import InvalidSetting

#: Fewer characters than this are no key. 32 hexadecimal digits are 128 bits.
LEAST_CHARACTERS: Final = 32

_ADVICE: Final = "Each line is a key, such as `openssl rand -hex 32` prints; the first one signs."


def read_keys(path: str) -> list[bytes]:
    """The keys in a file, in its order. Empty lines and lines that begin with `#` are skipped.

    Args:
        path: of the file; "" for none.

    Raises:
        InvalidSetting: it cannot be read, has no key, or one that is too short or twice there.
            No key is in the text.
    """
    if not path:
        return []
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidSetting(f"DLS_SECRET_FILE: {path} cannot be read: {why}. {_ADVICE}") from None
    keys: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        key = line.strip().encode()
        if not key or key.startswith(b"#"):
            continue
        if len(key) < LEAST_CHARACTERS:
            raise InvalidSetting(
                f"DLS_SECRET_FILE: line {number} of {path} has {len(key)} characters. A key needs "
                f"at least {LEAST_CHARACTERS}. {_ADVICE}"
            )
        if key in keys:
            raise InvalidSetting(f"DLS_SECRET_FILE: line {number} of {path} repeats a key.")
        keys.append(key)
    if not keys:
        raise InvalidSetting(f"DLS_SECRET_FILE: {path} holds no key. {_ADVICE}")
    return keys
