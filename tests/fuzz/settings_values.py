"""The environment: a server that starts, or sentences that say what to set."""

from __future__ import annotations

import os
from unittest import mock

from durable_llm_streams.cli import settings
from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.stores import is_sqlite
from durable_llm_streams.stores.redis import RedisAddress
from tests.fuzz.harness import SECRET

_FIELDS = settings.Settings.model_fields
_NAMES = tuple(name for field in _FIELDS for name in settings.names(field))
#: Their values are shown to the operator; those of the others never are.
_SHOWN = {name for field in _FIELDS if _FIELDS[field].repr for name in settings.names(field)}


def environment(data: bytes) -> None:
    """Lines of NAME=VALUE."""
    values = {}
    for line in data.replace(b"\0", b"").split(b"\n"):
        name, equals, value = line.decode(errors="surrogateescape").partition("=")
        if equals:  # what is no name stands for one
            known = name if name in _NAMES else _NAMES[len(name) % len(_NAMES)]
            values[known] = value
    is_shown = any(SECRET in value for name, value in values.items() if name in _SHOWN)
    with mock.patch.dict(os.environ, values, clear=True):
        assert settings.unknown() == []
        try:
            loaded = settings.load()
            assert is_shown or SECRET not in repr(loaded)
            _use(loaded)
        except InvalidSetting as error:
            told = str(error)
            assert told
            assert is_shown or SECRET not in told


def _use(loaded: settings.Settings) -> None:
    limits = loaded.limits()
    assert 0 < limits.lease < float("inf")
    assert 0 <= loaded.port <= 65535
    PrefillTable.parse(loaded.prefill)
    address = loaded.store_address()
    if not is_sqlite(address):
        RedisAddress.parse(address)
