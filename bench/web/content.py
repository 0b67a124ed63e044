"""The answers: Markdown without end, in pieces as small as tokens, the same every time.

A `MARK` stands where a word may be added without harm: at the end of a sentence, of a cell, of a
comment. The source puts a stamp there, `§12§4711234`: the twelfth mark, sent in that millisecond.
So the text of a page alone shows what was sent, and when.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from typing import Final

MARK: Final = "¤"
#: What a stamp's two numbers begin with.
SIGN: Final = "§"
#: The milliseconds of a stamp wrap around after so many: seven digits, almost three hours.
STAMP_SPAN: Final = 10_000_000

_PIECE = re.compile(r"\s*\S{1,6}")
_TEXT = (
    "a log keeps every record that was written and a reader who comes back asks for what follows "
    "its cursor so nothing is lost when the network falls silent or the server is replaced while "
    "somebody reads and the answer goes on as if no one had noticed"
)


def pieces(kind: str) -> Iterator[str]:
    """The pieces of an answer of one of `KINDS`, as many as are wanted."""
    for block in KINDS[kind]():
        yield from _PIECE.findall(block)


def marks(kind: str, size: int) -> int:
    """How many marks the first `size` pieces hold."""
    return sum(piece.count(MARK) for piece in islice(pieces(kind), size))


def marks_of_whole_lines(kind: str, size: int) -> int:
    """How many of them a page shows while nothing follows.

    It holds back the half line of a table, which is no table yet.
    """
    text = "".join(islice(pieces(kind), size))
    return text[: text.rfind("\n") + 1].count(MARK)


def stamp(number: int, milliseconds: int) -> str:
    """The text in place of a mark."""
    return f"{SIGN}{number}{SIGN}{milliseconds % STAMP_SPAN:07d}"


def _prose() -> Iterator[str]:
    """What models write most: headings, paragraphs, short lists, now and then some code."""
    say = _speaker()
    for number in count(1):
        yield f"\n\n## Part {number}"
        yield f"\n\n{say(14)} {say(18)} With **{say(3)}** and `cursor_{number}`, {say(12)}"
        yield f" {say(16)}"
        yield f"\n\n- {say(8)}\n- *{say(2)}* {say(9)}\n- `{number}` {say(7)}"
        yield f"\n\n{say(20)} {say(15)}"
        if number % 3 == 0:
            yield "\n\n```ts" + "".join(_code_lines(number, 6)) + "\n```"


def _list() -> Iterator[str]:
    """One list without an end."""
    say = _speaker()
    for number in count(1):
        yield f"\n- **Item {number}** {say(10)}"


def _code() -> Iterator[str]:
    """One block of code without an end."""
    yield "```ts"
    for number in count(1):
        yield from _code_lines(number, 8)
        yield "\n"


def _mixed() -> Iterator[str]:
    """Tables and formulas between paragraphs."""
    say = _speaker()
    for number in count(1):
        yield f"\n\n### Case {number}\n\n{say(16)} Here $$x_{{{number}}} + y$$ holds, {say(10)}"
        yield "\n\n| Case | Before | After | Share |\n| :--- | ---: | ---: | :---: |"
        for row in range(1, 7):
            yield f"\n| {say(4)} | {number * row} | {number + row} | {row * 13} % |"
        yield f"\n\n$$\n\\sum_{{k=1}}^{{{number}}} \\frac{{k^2}}{{n + {number}}} = \\beta\n$$"
        yield f"\n\n{say(18)} {say(12)}"


def _code_lines(number: int, size: int) -> Iterator[str]:
    yield f"\nexport function step{number}(log: readonly string[]): number {{"
    for line in range(size):
        yield f"\n  const value{line} = log[{line}]?.length ?? {number}; // at {line}{MARK}"
    yield f"\n  return value0 + {number};\n}}"


def _speaker() -> Callable[[int], str]:
    """A way to say so many words, a mark at their end; each time where the last one ended."""
    words = cycle(_TEXT.split())

    def say(size: int) -> str:
        return f"{' '.join(islice(words, size)).capitalize()}.{MARK}"

    return say


KINDS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "prose": _prose,
    "list": _list,
    "code": _code,
    "mixed": _mixed,
}
