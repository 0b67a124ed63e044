"""The built-in demo: answers without a key, a network or a model.

The text depends on the prompt alone. So if a server is killed, the process that takes over
continues its answer exactly.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from math import isinf, isnan
from typing import Any, Final, Literal
from zlib import crc32

from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.source import Event, Finish, Prompt, ReasoningDelta, TextDelta, Turn

from . import demo_answer as text

#: The id under which the demo is offered.
DEMO_MODEL: Final = "demo"

#: How the demo goes on after a cut; see `Demo`.
GoesOn = Literal["exactly", "asked", "badly", "anew", "never"]

_OVERLAP: Final = 40  # characters
_QUOTED: Final = 160
_BREATH: Final = 16
_TOKEN: Final = re.compile(r"\s+|\S+\s*")
_LONG_WORD: Final = re.compile(r"(\w{5})(\w{4,}\W*)\Z")
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()<>#|$~&!:@]|(?<=www)\.)", re.IGNORECASE)
_ONE_LINE: Final = re.compile(r"\s+")
_SHORT: Final = re.compile(r"\b(short|shortly|brief|briefly)\b", re.IGNORECASE)
_LONG: Final = re.compile(r"\b(long|longer|detail|details|detailed)\b", re.IGNORECASE)
_THINK: Final = re.compile(r"\b(think|thinking|reason|reasoning)\b", re.IGNORECASE)


class Demo:
    """A source that explains durable streams and asks to be interrupted.

    A question with the word “short”, “long” or “think” gets such an answer.

    Args:
        tokens_per_second: the rate; 0 or infinity is as fast as possible.
        goes_on: how it continues a partial answer, as models differ in this. `exactly` accepts a
            prefill. All others refuse a prefill. When asked in words to go on, `asked` does so
            exactly, `badly` after a preamble and a repetition, `anew` begins again, and `never`
            refuses.
        clock: a monotonic clock in seconds; None is the event loop's.
        sleep: sleeps for so many seconds.

    Raises:
        InvalidSetting: the rate is negative or not a number.
    """

    def __init__(
        self,
        tokens_per_second: float = 40.0,
        *,
        goes_on: GoesOn = "exactly",
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if isnan(tokens_per_second) or tokens_per_second < 0:
            raise InvalidSetting("The demo's tokens per second must be 0 (no limit) or more.")
        fastest = tokens_per_second == 0 or isinf(tokens_per_second)
        self._goes_on = goes_on
        self._interval = 0.0 if fastest else 1 / tokens_per_second
        self._clock = clock
        self._sleep = sleep

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer, or the rest of it.

        Raises:
            ModelError: it is set to refuse this way of going on.
        """
        if prompt.prefill and self._goes_on != "exactly":
            raise ModelError("The demo is set to refuse this.", refused_rung=True)
        if prompt.continues and self._goes_on == "never":
            raise ModelError("The demo is set to refuse this.", refused_rung=True)
        whole, thought = answer(prompt), reasoning(prompt)
        deltas: list[Event] = []
        if not (prompt.prefill or prompt.continues):
            deltas += map(ReasoningDelta, tokens(thought))
        deltas += map(TextDelta, tokens(self._words(prompt, whole)))
        clock = self._clock or asyncio.get_running_loop().time
        begin = clock()
        for number, delta in enumerate(deltas):
            ahead = begin + number * self._interval - clock()
            if ahead > 0:
                await self._sleep(ahead)
            elif number % _BREATH == _BREATH - 1:
                await self._sleep(0)
            yield delta
        yield Finish(reason="stop", metadata=_metadata(prompt, whole, thought))

    def can_prefill(self, model: str) -> bool:
        """Always True; it may still refuse, see `goes_on`."""
        return True

    def can_continue(self, model: str) -> bool:
        """Always True."""
        return True

    async def close(self) -> None:
        """Nothing to close."""

    def _words(self, prompt: Prompt, whole: str) -> str:
        if not prompt.continues:
            return _rest(whole, prompt.prefill)
        partial = prompt.turns[-2].text
        if self._goes_on == "anew" or not whole.startswith(partial):
            return whole
        if self._goes_on == "badly":
            return "Sure, continuing:\n\n" + whole[max(0, len(partial) - _OVERLAP) :]
        return whole[len(partial) :]


def answer(prompt: Prompt) -> str:
    """The whole answer."""
    questions = _questions(prompt)
    question = questions[-1]
    intro = text.INTRO.replace("@TURN@", str(len(questions))).replace(
        "@QUESTION@", _quote(question)
    )
    if _SHORT.search(question):
        return _join(intro, text.SHORT)
    first = (crc32(questions[0].encode(errors="replace")) + len(questions)) % len(text.TOPICS)
    topics = text.TOPICS[first:] + text.TOPICS[:first]
    if _LONG.search(question):
        return _join(intro, text.CHALLENGE, *topics, text.TOY, text.NIGHT)
    return _join(intro, text.CHALLENGE, topics[0])


def reasoning(prompt: Prompt) -> str:
    """The reasoning before the answer; "" unless the question asks to think."""
    return text.THOUGHT.strip() if _THINK.search(_questions(prompt)[-1]) else ""


def tokens(words: str) -> list[str]:
    """Words with the white space after them, long words in two pieces. Joined: the text."""
    pieces: list[str] = []
    for word in _TOKEN.findall(words):
        halves = _LONG_WORD.match(word)
        pieces += halves.groups() if halves else (word,)
    return pieces


def _questions(prompt: Prompt) -> list[str]:
    return [turn.text for turn in _conversation(prompt) if turn.role == "user"] or [""]


def _conversation(prompt: Prompt) -> Sequence[Turn]:
    """The turns, without a partial answer and the request to go on with it."""
    return prompt.turns[:-2] if prompt.continues else prompt.turns


def _rest(whole: str, partial: str) -> str:
    """What follows `partial`; after a different text, the whole answer, below a line."""
    if whole.startswith(partial):
        return whole[len(partial) :]
    fence = "\n```" if partial.count("```") % 2 else ""
    return f"{fence}\n\n---\n\n{whole}"


def _quote(question: str) -> str:
    """Any text as one safe line of Markdown."""
    line = _ONE_LINE.sub(" ", question).strip()
    line = "".join(char for char in line[: 4 * _QUOTED] if _is_visible(char))
    if len(line) > _QUOTED:
        line = line[: _QUOTED - 1].rstrip() + "…"
    return _MARKUP.sub(r"\\\1", line) or "…"


def _is_visible(char: str) -> bool:
    return unicodedata.category(char)[0] != "C" or char in "\u200c\u200d"


def _join(*sections: str) -> str:
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _metadata(prompt: Prompt, whole: str, thought: str) -> dict[str, Any]:
    asked = sum(len(tokens(turn.text)) for turn in _conversation(prompt))
    thinking = len(tokens(thought))
    produced = len(tokens(whole)) + thinking
    usage = {"inputTokens": asked, "outputTokens": produced, "totalTokens": asked + produced}
    if thinking:
        usage["reasoningTokens"] = thinking
    return {"model": DEMO_MODEL, "usage": usage}
