"""One case from end to end: the real application asks a provider of exact bytes, over HTTP."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
import pytest

from durable_llm_streams.cli.provider import provider, with_models
from durable_llm_streams.cli.settings import Settings, load
from durable_llm_streams.fold import Fold
from durable_llm_streams.runs import Worker
from durable_llm_streams.server import ServerConfig, create_app
from durable_llm_streams.stores import SQLiteStore
from tests.app import Guest, serving, user
from tests.fake_provider import Request
from tests.providers.body import filled
from tests.providers.case import Case
from tests.providers.raw_provider import RawProvider

#: What `dls serve` is set to, unless the case says otherwise. No case needs more than a second.
DEFAULTS: Final = {
    "OPENAI_BASE_URL": "http://127.0.0.1:@{port}/v1",
    "DLS_MODEL": "m",
    "DLS_FIRST_TOKEN_TIMEOUT": "5",
    "DLS_TOKEN_TIMEOUT": "5",
}
_AMBIENT = re.compile(
    r"DLS_(?!CHROMIUM|NGINX|REDIS|WEB)|OPENAI_|OPENROUTER_|.*_PROXY$", re.IGNORECASE
)
_SURROGATE = re.compile(r"\\u([0-9a-fA-F]{4})")
_BACKOFF = 0.01


class Outcome(NamedTuple):
    """What one message came to.

    Attributes:
        status: of the HTTP response to it.
        message: as it is stored.
        chunks: of the stream, without `[DONE]`.
        folded: what a client makes of the stream.
        requests: what the provider got until then, from the first message on.
        unanswered: those among them that the case has no answer for.
    """

    status: int
    message: dict[str, Any]
    chunks: list[dict[str, Any]]
    folded: dict[str, Any]
    requests: list[Request]
    unanswered: list[Request]

    @property
    def text(self) -> str:
        return self._texts("text")

    @property
    def reasoning(self) -> str:
        return self._texts("reasoning")

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self.message["metadata"]
        return metadata

    def parts(self, kind: str) -> list[dict[str, Any]]:
        """The message's parts of a kind."""
        return [part for part in self.message["parts"] if part["type"] == kind]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The stream's chunks of a kind."""
        return [chunk for chunk in self.chunks if chunk["type"] == kind]

    def _texts(self, kind: str) -> str:
        return "".join(part["text"] for part in self.parts(kind))


async def walk(case: Case, folder: Path, patch: pytest.MonkeyPatch) -> list[Outcome]:
    """Send a case's messages one after the other.

    Args:
        case: the case.
        folder: an empty folder for the store and the case's files.
        patch: sets the environment.
    """
    for name, text in case.files.items():
        (folder / name).write_text(text)
    async with RawProvider(case, {"folder": str(folder)}) as faked:
        environ(case.settings, faked.values, patch)
        async with _serving(load(), folder) as guest:
            return [
                await _ask(guest, text, number, faked) for number, text in enumerate(case.ask, 1)
            ]


def environ(own: Mapping[str, str], values: Mapping[str, str], patch: pytest.MonkeyPatch) -> None:
    """Set the environment of a case, and nothing else of what `dls serve` reads."""
    for name in [name for name in os.environ if _AMBIENT.match(name)]:
        patch.delenv(name)
    for name, value in {**DEFAULTS, **own}.items():
        patch.setenv(name, filled(value, values))


@asynccontextmanager
async def _serving(settings: Settings, folder: Path) -> AsyncGenerator[Guest, None]:
    """What `dls serve` does, in this process. Gives a visitor."""
    chosen = await with_models(provider(settings))
    store = SQLiteStore(folder / "chats.db")
    limits = msgspec.structs.replace(settings.limits(), backoff=_BACKOFF)
    worker = Worker(
        store, chosen.source, name="corpus", system=settings.system_prompt, limits=limits
    )
    app = create_app(store, worker, ServerConfig(models=chosen.models), ui=None)
    try:
        jar = aiohttp.CookieJar(unsafe=True)
        async with serving(app, worker) as (url, _, _), aiohttp.ClientSession(cookie_jar=jar) as it:
            yield Guest(url, it)
    finally:
        await chosen.source.close()
        await store.close()


async def _ask(guest: Guest, text: str, number: int, faked: RawProvider) -> Outcome:
    """Send one message and read everything that came of it."""
    text = _SURROGATE.sub(lambda found: chr(int(found[1], 16)), text)
    reading = await guest.post({"id": "c", "message": user(f"m{number}", text)})
    asked = list(faked.requests), list(faked.unanswered)
    if reading.status != 200:
        return Outcome(reading.status, {}, [], {}, *asked)
    assert reading.done, "The stream ended without [DONE]."
    folded = Fold.of([frame.data.encode() for frame in reading.records]).message()
    stored = (await guest.chat("c"))["messages"][-1]
    return Outcome(200, stored, [frame.chunk for frame in reading.records], folded, *asked)
