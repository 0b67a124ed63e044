"""All targets by name. A new one is a function of bytes, a line here, and a folder in `corpus/`."""

from __future__ import annotations

from contextlib import nullcontext

from tests import test_wire_aisdk
from tests.fuzz import providers, redis_values, requests, server_values, settings_values, wires
from tests.fuzz.harness import Check, Target

_PLAIN: dict[str, Check] = {
    "chat-stream": providers.chat_stream,
    "response-stream": providers.response_stream,
    "provider-refusal": providers.refusal,
    "prefill-setting": providers.prefill_setting,
    "seam": providers.seam,
    "event-stream": wires.event_stream,
    "client-answer": wires.answer,
    "client-refusal": wires.server_answer,
    "cursor": wires.cursor,
    "send": test_wire_aisdk.check,
    "merged-records": wires.merged_records,
    "cookie": server_values.cookie,
    "feed-position": server_values.feed_position,
    "page-token": server_values.page_token,
    "redis-address": redis_values.redis_address,
    "upstash-address": redis_values.upstash,
    "publication": redis_values.publication,
    "environment": settings_values.environment,
}


def _plain(check: Check) -> Target:
    return lambda: nullcontext(check)


TARGETS: dict[str, Target] = {
    **{name: _plain(check) for name, check in _PLAIN.items()},
    "request": requests.opened,
}
