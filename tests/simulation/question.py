"""What is asked, and what the right answer is."""

from __future__ import annotations

import re
from typing import NamedTuple

_QUESTION = re.compile(r"(\w+): (\d+) words, (\d+) ms, (\d+) thoughts")


class Question(NamedTuple):
    """What is asked, as the text of a user's message.

    Attributes:
        name: unique; every word of the answer begins with it.
        words: how many the answer has.
        pause: milliseconds before each piece of it.
        thoughts: words of reasoning before the answer.
    """

    name: str
    words: int
    pause: int
    thoughts: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.words} words, {self.pause} ms, {self.thoughts} thoughts"

    @property
    def answer(self) -> str:
        return "".join(f"{self.name}.{number} " for number in range(self.words))

    @property
    def thoughts_said(self) -> list[str]:
        return [f"{self.name}-thought-{number} " for number in range(self.thoughts)]

    @classmethod
    def parse(cls, text: str) -> Question:
        found = _QUESTION.fullmatch(text)
        assert found is not None, f"the provider was asked {text!r}"
        return cls(found[1], *map(int, found.groups()[1:]))
