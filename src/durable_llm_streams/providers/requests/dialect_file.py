"""The operator's rows of the table of dialects, from a TOML file.

Each row is a table `[[dialect]]` with the patterns `address` and `model` ("*" if left out), and
with fields of `Dialect`, such as `stream_options = false`. docs/settings.md lists them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from durable_llm_streams.errors import InvalidSetting

from .dialect import Dialect, Row
from .request import check_body, check_headers

_FIELDS: Final = Dialect.__struct_fields__
_OF_ADDRESS: Final = ("key", "headers", "fallbacks", "default_model")


def read_rows(path: str) -> list[Row]:
    """Read the file.

    Args:
        path: of the file.

    Raises:
        InvalidSetting: it cannot be read, or holds an invalid row; the sentence names the place.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path} is not a TOML file: {error}.") from None
    for name in content:
        if name != "dialect":
            raise InvalidSetting(f"{path}: `{name}` is not known. Begin each row with [[dialect]].")
    rows = content.get("dialect", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidSetting(f"{path}: begin each row with [[dialect]], in double brackets.")
    return [_row(f"{path}, row {number}", row) for number, row in enumerate(rows, 1)]


def _row(place: str, row: Mapping[str, Any]) -> Row:
    changes = dict(row)
    patterns = {}
    for name in ("address", "model"):
        pattern = changes.pop(name, "*")
        if not isinstance(pattern, str) or not pattern:
            raise InvalidSetting(f"{place}: `{name}` must be a pattern, such as 'api.*'.")
        patterns[name] = pattern
    for name, value in changes.items():
        _check(f"{place}: `{name}`", name, value)
        if name in _OF_ADDRESS and patterns["model"] != "*":
            raise InvalidSetting(
                f"{place}: `{name}` applies to every model of an address. Leave `model` out."
            )
    return Row(changes, **patterns)


def _check(place: str, name: str, value: Any) -> None:
    if name not in _FIELDS:
        known = ", ".join(("address", "model", *_FIELDS))
        raise InvalidSetting(f"{place} is not known. Known are: {known}.")
    try:
        dialect = msgspec.convert({name: value}, Dialect)
        check_headers(dialect.headers)
        check_headers({dialect.key: ""})
        check_body(dialect.body)
    except msgspec.ValidationError as error:
        what = str(error).partition(" - at ")[0]
        raise InvalidSetting(f"{place} has a value that cannot be used: {what}.") from None
    except InvalidSetting as error:
        raise InvalidSetting(f"{place}: {error}") from None
