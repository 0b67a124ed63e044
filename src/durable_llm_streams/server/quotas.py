"""Quotas: what a message of an owner costs, from the settings.

Theory of operation
===================
1. A message is one unit of an hour's messages. Tokens and dollars are known at the end only, so an
   attempt reserves what it may cost at most: what is sent, by an estimate, and the longest answer.
   The end takes what was really used instead, see `runs/settling.py`.
2. What an answer may cost in dollars is not known. A hundredth of the day's limit is reserved, so
   that answers at the same time are limited, too, and an empty bucket refuses.
"""

from __future__ import annotations

from msgspec import Struct

from durable_llm_streams.errors import ChatNotFound, MessageNotFound
from durable_llm_streams.model import EVERYBODY, Charge
from durable_llm_streams.store import ChatStore, Order

#: The longest answer that is reserved when none is set, in tokens.
LONGEST_ANSWER = 4096

_HOUR = 3600.0
_DAY = 24 * _HOUR
_COST_SHARE = 100


class Quotas(Struct, frozen=True, kw_only=True):
    """The limits of a server; 0 is none.

    Attributes:
        messages_per_hour: of an owner.
        tokens_per_day: of an owner, of questions and answers.
        cost_per_day: of an owner, in US dollars, where the provider reports them.
        budget_per_day: tokens of all owners together.
        longest_answer: tokens that an answer may have.
        streams: streams that an owner may have open at once in this process.
    """

    messages_per_hour: int = 0
    tokens_per_day: int = 0
    cost_per_day: float = 0.0
    budget_per_day: int = 0
    longest_answer: int = LONGEST_ANSWER
    streams: int = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether the length of a message matters."""
        return bool(self.tokens_per_day or self.budget_per_day)

    def charges(self, owner: str) -> tuple[Charge, ...]:
        """What a message costs when it is accepted."""
        limit = self.messages_per_hour
        return (Charge("messages", owner, 1, limit, _HOUR),) if limit else ()

    def reservation(self, owner: str, sent: int) -> tuple[Charge, ...]:
        """What an attempt to answer may cost.

        Args:
            owner: of the chat.
            sent: tokens of what is sent to the model, by an estimate.
        """
        tokens = sent + self.longest_answer
        dollars = self.cost_per_day
        charges = (
            Charge("tokens", owner, tokens, self.tokens_per_day, _DAY),
            Charge("cost", owner, dollars / _COST_SHARE, dollars, _DAY),
            Charge("budget", EVERYBODY, tokens, self.budget_per_day, _DAY),
        )
        return tuple(charge for charge in charges if charge.limit)


async def branch_of(chats: ChatStore, order: Order) -> list[bytes]:
    """The bodies of a message and of those before it."""
    for leaf in (order.anchor, None):
        try:
            snapshot = await chats.snapshot(order.owner, order.chat_id, leaf)
        except ChatNotFound:
            break
        except MessageNotFound:
            continue
        return [*(message.body for message in snapshot.messages), order.body]
    return [order.body]
