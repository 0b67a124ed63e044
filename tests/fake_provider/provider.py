"""A fake OpenAI-compatible provider over real HTTP, with faults on demand."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from . import chat
from .http import HttpServer, Reply, Request, Step
from .kept import Clock
from .responses import Jobs
from .script import SECRET_WORDS, Script

#: That a provider wants in the header that it requires.
KEY: Final = "sk-test-0123456789abcdef"

Refusal = Callable[[dict[str, Any]], tuple[int, Any] | None]


class FakeProvider(HttpServer):
    """The server.

    Args:
        port: 0 for any that is free.
        models: what `GET /v1/models` lists; None: 404, there is no list.
        requires: HTTP 401 unless this header holds KEY.
        refusals: functions of a request's body that give (status, JSON) or None; the first that
            gives something refuses the request.
        now: the time of the answers that it keeps, in seconds.

    Attributes:
        requests: all requests for an answer, in order.
        jobs: the answers that it keeps.
        listed: how often the models were asked for.
        held: no chat answer gets past a step with these bytes while they stand here.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        models: Sequence[str] | None = None,
        requires: str = "",
        refusals: Sequence[Refusal] = (),
        now: Clock = time.monotonic,
    ) -> None:
        super().__init__(port)
        self.models = models
        self.listed = 0
        self.held = b""
        self.requests: list[Request] = []
        self.jobs = Jobs(now)
        self._requires = requires
        self._refusals = refusals
        self._plan: deque[Script] = deque()
        self._asked: Counter[str] = Counter()
        self._arrived = asyncio.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def open(self) -> int:
        """How many answers are being sent now."""
        return sum(not each.ended.is_set() for each in self.requests)

    def plan(self, *scripts: Script | str) -> None:
        """Say what the next requests get, one script each."""
        self._plan.extend(Script.parse(each) if isinstance(each, str) else each for each in scripts)

    async def request(self, number: int = 0) -> Request:
        """The request with this number, from 0, as soon as it has come."""
        while len(self.requests) <= number:
            self._arrived.clear()
            await self._arrived.wait()
        return self.requests[number]

    async def reply(self, request: Request) -> Reply:
        """What a request gets."""
        path = request.path
        if request.method == "GET" and request.target == "/v1/models":
            return self._list(request)
        if request.method == "POST" and path.endswith("chat/completions"):
            script = self._taken(request)
            reply = self._refused(request) or chat.reply(script, request, time.monotonic)
            reply.steps = self._holding(reply.steps)
            return reply
        if request.method == "POST" and path.endswith("responses"):
            return self.jobs.begin(request, self._taken(request))
        if path.startswith("responses/"):
            return self.jobs.reply(request)
        return Reply.whole(b"404 page not found", 404, "text/plain")

    def _holding(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            while self.held and isinstance(step, bytes) and self.held in step:
                yield 0.02
            yield step

    def _list(self, request: Request) -> Reply:
        self.listed += 1
        if not self._has_key(request):
            return Reply.json({"error": {"message": SECRET_WORDS}}, 401)
        if self.models is None:
            return Reply.whole(b"404 page not found", 404, "text/plain")
        data = [{"id": name, "object": "model", "owned_by": "library"} for name in self.models]
        return Reply.json({"object": "list", "data": data})

    def _has_key(self, request: Request) -> bool:
        return not self._requires or request.headers.get(self._requires) == KEY

    def _refused(self, request: Request) -> Reply | None:
        if not self._has_key(request):
            return Reply.json({"error": {"message": SECRET_WORDS}}, 401)
        for judge in self._refusals:
            if (found := judge(request.body)) is not None:
                return Reply.json(found[1], found[0])
        return None

    def _taken(self, request: Request) -> Script:
        """Take a request for an answer."""
        self.requests.append(request)
        self._arrived.set()
        model = request.body["model"]
        self._asked[model] += 1
        if self._plan:
            return self._plan.popleft()
        script = Script.parse(model.partition("fake:")[2])
        is_calm = 0 <= script.times < self._asked[model]
        return script.without_faults() if is_calm else script
