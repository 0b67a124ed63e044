"""From the turns of a conversation to a request's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_llm_streams.source import Turn


def messages(turns: Sequence[Turn], *, system: bool = True) -> list[dict[str, Any]]:
    """The messages of a request.

    Adjacent turns of one role become one message: many chat templates refuse two questions in a
    row, which remain if a question was never answered. Turns without text are left out, except
    the last one.

    Args:
        turns: the conversation, oldest first.
        system: whether there is a system role; without one, its text opens the first question.
    """
    made: list[dict[str, Any]] = []
    for number, turn in enumerate(turns if system else _without_system(turns)):
        text = encodable(turn.text)
        if not text.strip() and number < len(turns) - 1:
            continue
        if made and made[-1]["role"] == turn.role:
            made[-1]["content"] += f"\n\n{text}"
        else:
            made.append({"role": turn.role, "content": text})
    return made


def encodable(text: str) -> str:
    """The text as it can be sent: halves of surrogate pairs are joined, lone ones are U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    rules = [Turn("user", turn.text) for turn in turns if turn.role == "system"]
    rest = [turn for turn in turns if turn.role != "system"]
    first = next((n for n, turn in enumerate(rest) if turn.role == "user"), 0)
    return [*rest[:first], *rules, *rest[first:]]
