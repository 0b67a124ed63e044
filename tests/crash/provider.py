"""A provider in a process of its own, whose words name their server and request.

    python -m tests.crash.provider --seed 1        # prints its base address on the first line

An answer is the words 1, 2, 3, … as `NUMBER@ASKER.REQUEST `: word 7 of the request with number 35,
which the server `redis-0` made, is `7@redis-0.35 `. So every record of a log names the attempt that
wrote it, whatever the log's own spans say. The asker is in the address: `BASE/redis-0/v1`.

A model is `KIND-WORDS-RATE`: how the beginning of an answer is continued, how many words it has and
how many come in a second. Kinds:

    goes-on     it continues after the last word that it is given (the rung `prefill`)
    refuses     it answers HTTP 400 to a beginning
    anew        it gets none: it is not declared able

Asked in words (the rung `continue`), a model also continues after the last word, sometimes
with its last words repeated, or refuses; `refuses` always does.

Some requests fail, by the seed: a refusal of the corpus, a connection that is reset after some
words, an end without a finish, silence (once for a question). Streams are written in the forms of
the corpus, with its noise between their events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import re
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from tests.children import tied
from tests.fake_provider import HttpServer, Reply, Request, Step
from tests.fake_provider.script import FAULTS as STEPS
from tests.fake_provider.wire import DONE, chunk, event
from tests.providers.shapes import Form, refusals

WORD = re.compile(r"(\d+)@(\S+)")

_Fault = Literal["", "busy", "cut", "end", "stall"]

#: How often each fault strikes, of a hundred requests.
FAULTS: dict[_Fault, int] = {"": 86, "busy": 3, "cut": 6, "end": 3, "stall": 2}

_REPEATED = 4  # words of the beginning that a continuation may repeat
_START_SECONDS = 60.0


class Model(NamedTuple):
    """What a model's name says."""

    kind: str
    words: int
    rate: float

    @classmethod
    def parse(cls, name: str) -> Model:
        """Read a name such as `goes-on-60-30`."""
        kind, words, rate = name.rsplit("-", 2)
        return cls(kind, int(words), float(rate))


class Word(NamedTuple):
    """One word of an answer: its number, and the request that brought it."""

    number: int
    request: str


def words_of(text: str) -> list[Word]:
    return [Word(int(number), request) for number, request in WORD.findall(text)]


class Asked(NamedTuple):
    """What is asked.

    Attributes:
        said: the words of the text that is to be continued.
        text: that text, as it was sent.
        continues: whether it is asked so in words.
    """

    model: Model
    said: Sequence[Word]
    text: str
    continues: bool

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Asked:
        turns = body["messages"]
        continues = [turn["role"] for turn in turns[-2:]] == ["assistant", "user"]
        last = turns[-2] if continues else turns[-1]
        text = last["content"] if last["role"] == "assistant" else ""
        return cls(Model.parse(body["model"]), words_of(text), text, continues)


class Provider(HttpServer):
    """The provider's server."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._numbers = itertools.count(1)
        self._silenced: set[str] = set()
        self._transient = [each for each in refusals() if not each.is_final]

    async def reply(self, request: Request) -> Reply:
        asker, rng = request.target.split("/")[1], self._rng
        asked = Asked.parse(request.body)
        refuses = asked.model.kind == "refuses" or (asked.continues and rng.random() < 0.3)
        if asked.said and refuses:
            return Reply.json({"error": {"message": "No beginnings."}}, 400)
        name = f"{asker}.{next(self._numbers)}"
        first = asked.said[-1].number + 1 if asked.said else 1
        fault = self._fault(request.body["messages"][0]["content"])
        if fault == "busy":
            refusal = rng.choice(self._transient)
            reply = Reply.whole(refusal.body, refusal.status, refusal.media_type)
            reply.headers = refusal.headers
            return reply
        words = asked.model.words
        strikes = rng.randint(first, max(first, words)) if fault else words + 1
        numbers = range(first, min(strikes, words + 1))
        repeats = asked.continues and len(asked.said) > _REPEATED and rng.random() < 0.5
        again = " ".join(asked.text.split()[-_REPEATED:]) + " " if repeats else ""
        texts = [f"{number}@{name} " for number in numbers]
        own = random.Random(rng.random())
        return Reply(steps=_steps(again, texts, asked.model.rate, fault, own))

    def _fault(self, question: str) -> _Fault:
        fault = self._rng.choices([*FAULTS], [*FAULTS.values()])[0]
        if fault == "stall":
            if question in self._silenced:
                return ""  # a second silence may end the answer before its attempts are used up
            self._silenced.add(question)
        return fault


def _steps(
    again: str, words: list[str], rate: float, fault: _Fault, rng: random.Random
) -> Iterator[Step]:
    """A stream in one of the corpus's forms: some words of before, new words, an end or a fault."""
    form, is_first = Form.draw(rng), True

    def dressed(*events: bytes) -> bytes:
        nonlocal is_first
        data = b""
        for each in events:
            data += form.dress(each, rng, first=is_first)
            is_first = False
        return data

    if again:
        yield dressed(event(chunk({"content": again})))
    begun, batch = time.monotonic(), max(1, int(rate / 100))  # at most a hundred writes a second
    for index in range(0, len(words), batch):
        yield max(0.0, begun + index / rate - time.monotonic())
        yield dressed(*(event(chunk({"content": each})) for each in words[index : index + batch]))
    if fault:
        yield from STEPS[fault]
    else:
        yield dressed(event(chunk({}, "stop")), DONE)


@asynccontextmanager
async def provider_process(seed: int) -> AsyncGenerator[str, None]:
    """A provider in a process of its own. Gives its base address."""
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-m", "tests.crash.provider", f"--seed={seed}"]),
        stdin=asyncio.subprocess.PIPE,  # it ends with the process at the other end
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        assert line, f"the provider has told no address within {_START_SECONDS:.0f} s"
        yield line.decode().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _serve(seed: int) -> None:
    async with Provider(random.Random(seed)) as provider:
        print(f"http://127.0.0.1:{provider.port}", flush=True)
        left = asyncio.Event()
        asyncio.get_running_loop().add_reader(0, left.set)
        await left.wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A provider whose words tell who asked.")
    options.add_argument("--seed", type=int, default=1)
    asyncio.run(_serve(options.parse_args().seed))
