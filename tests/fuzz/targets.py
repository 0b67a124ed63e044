"""All targets by name. A new one is a function of bytes and a line in its file's table."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz import providers, redis_values, requests, server_values, settings_values, wires
from tests.fuzz.harness import Target

TARGETS: Mapping[str, Target] = {
    **providers.TARGETS,
    **wires.TARGETS,
    **server_values.TARGETS,
    **redis_values.TARGETS,
    **settings_values.TARGETS,
    **requests.TARGETS,
}
