"""What a model is sent of a conversation: the newest turns that fit a budget of tokens.

1. The system prompt and the question are always sent. Before the question come as many whole
   exchanges as fit: a question with its answers, so that no answer is sent without its question.
2. The first attempt chooses, and its choice is in the log's first record (`context` in the
   metadata). Later attempts, in any process and with any settings, send the same turns: a partial
   answer is only continued well with what it was an answer to.
3. A partial answer that is sent to be continued is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from durable_llm_streams.chunks import decode
from durable_llm_streams.errors import InvalidSetting, MessageTooLong
from durable_llm_streams.model import Message
from durable_llm_streams.source import Turn

from .tokens import MESSAGE_TOKENS, estimated


class Context(Struct, frozen=True):
    """What is sent before the answer.

    Attributes:
        turns: the system prompt, if there is one, and the conversation, oldest first.
        dropped: how many messages at the beginning of the branch are left out.
        tokens: the estimate for all turns.
    """

    turns: Sequence[Turn]
    dropped: int
    tokens: int

    def metadata(self) -> dict[str, int]:
        """The field `context` of the answer's metadata. The system prompt is no turn there."""
        turns = sum(turn.role != "system" for turn in self.turns)
        return {"turns": turns, "dropped": self.dropped, "tokens": self.tokens}


def choose(system: str, thread: Sequence[Message], budget: int) -> Context:
    """The context of a run's first attempt.

    Args:
        system: the system prompt, or "".
        thread: the branch that ends with the question, oldest first.
        budget: tokens; 0 for no limit.
    """
    start = Turn("system", system) if system else None
    tokens = _tokens(start)
    first = len(thread)
    kept: list[Turn] = []  # the newest first
    exchange: list[Turn] = []
    cost = 0
    for index in range(len(thread) - 1, -1, -1):
        turn = _turn(thread[index])
        if turn is not None:
            exchange.append(turn)
            cost += _tokens(turn)
        if index and thread[index].role != "user":
            continue
        is_question = first == len(thread)
        if budget and not is_question and tokens + cost > budget:
            break
        kept += exchange
        tokens += cost
        first, exchange, cost = index, [], 0
    turns = [*([start] if start else []), *reversed(kept)]
    return Context(turns, first, tokens)


def sent_tokens(system: str, bodies: Iterable[bytes], budget: int) -> int:
    """At most so many tokens are sent, without looking at where turns begin.

    Args:
        system: the system prompt, or "".
        bodies: of the messages of a branch; empty ones are those of unfinished answers.
        budget: tokens; 0 for no limit.
    """
    tokens = _tokens(Turn("system", system) if system else None)
    for body in filter(None, bodies):
        tokens += estimated(text_of(body)) + MESSAGE_TOKENS
        if budget and tokens >= budget:
            return budget
    return tokens


def repeat(system: str, thread: Sequence[Message], metadata: Mapping[str, Any] | None) -> Context:
    """The context that an earlier attempt has sent.

    Args:
        system: the system prompt, or "".
        thread: the branch that ends with the question, oldest first.
        metadata: of the message in the log. Without `context`, an older version has sent the
            whole branch.
    """
    dropped = (metadata or {}).get("context", {}).get("dropped", 0)
    sent = choose(system, thread[dropped:], 0)
    return replace(sent, dropped=dropped)


def check_question(text: str, *, system: str, budget: int) -> None:
    """Check that a question fits without any earlier turn.

    Args:
        text: the question.
        system: the system prompt, or "".
        budget: tokens; 0 for no limit.

    Raises:
        MessageTooLong: it does not fit.
    """
    if not budget:
        return
    limit = budget - MESSAGE_TOKENS - _tokens(Turn("system", system) if system else None)
    size = estimated(text)
    if size > limit:
        raise MessageTooLong(size, limit)


def check_system(system: str, budget: int) -> None:
    """Check that the system prompt leaves room for a question.

    Args:
        system: the system prompt, or "".
        budget: tokens; 0 for no limit.

    Raises:
        InvalidSetting: it takes more than half of the budget.
    """
    size = estimated(system)
    if budget and 2 * size > budget:
        raise InvalidSetting(
            f"The system prompt has about {size} tokens, more than half of the {budget} that are "
            "sent to the model. Shorten it, or raise DLS_CONTEXT_TOKENS."
        )


def text_of(body: bytes) -> str:
    """The text of a `UIMessage`, without reasoning and other parts."""
    parts = decode(body)["parts"]
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _turn(message: Message) -> Turn | None:
    text = text_of(message.body) if message.body else ""
    return Turn("user" if message.role == "user" else "assistant", text) if text else None


def _tokens(turn: Turn | None) -> int:
    return 0 if turn is None else estimated(turn.text) + MESSAGE_TOKENS
