"""A message that comes while an answer is being written in its chat.

Theory of operation
===================
1. The AI SDK's `stop()` only ends the client's request, and so does a broken network. So a request
   that ends is not a stop. The client's next request shows what was meant. If its history has the
   unfinished answer and a new message after it, the user has moved on. The same holds if it edits
   the prompt of the answer, or an earlier message.
2. Then the answer is stopped if it has no readers; else the message waits for it. The text so far
   is kept in both cases. A history without the answer is of a client that did not know of it:
   `on_busy` decides.
3. Clients that send only their new message are left to `on_busy`. They can stop an answer.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from msgspec import structs

from durable_llm_streams.errors import ChatBusy, NotFound
from durable_llm_streams.model import Run
from durable_llm_streams.store import Order, Sent
from durable_llm_streams.wire.aisdk import parse_history

from .state import AppState

#: How many seconds the server may notice a client's disconnect after its next request.
LEAVING_SECONDS: Final = 2.0

_TRIES: Final = 8


class _Verdict(Enum):
    RETRY = auto()
    WAIT = auto()
    REFUSE = auto()


async def send(state: AppState, order: Order, body: bytes) -> Sent:
    """Send a message. If the chat is busy, stop its active run, wait for it or refuse.

    Args:
        state: of the application.
        order: what to send, with `queue` False.
        body: the request's body, which `wire.aisdk.parse_send` has accepted.

    Raises:
        ChatBusy: it is refused.
        DurableError: see `RunStore.send`.
    """
    for _ in range(_TRIES):
        try:
            return await state.worker.send(order)
        except ChatBusy as busy:
            verdict = await _stop_if_wanted(state, order, body, busy.run_id)
            if verdict is _Verdict.REFUSE:
                raise
            if verdict is _Verdict.WAIT:
                break
    return await state.worker.send(structs.replace(order, queue=True))


async def _stop_if_wanted(state: AppState, order: Order, body: bytes, run_id: str) -> _Verdict:
    """Stop the active run, if that is what the request means."""
    on_busy = state.config.on_busy
    try:
        run = await state.store.runs.find(order.owner, order.chat_id, run_id)
        moved_on = on_busy != "interrupt" and await _has_moved_on(state, order, body, run)
        if on_busy == "interrupt" or (
            moved_on and await state.streams.has_no_readers(run_id, LEAVING_SECONDS)
        ):
            await state.worker.stop(run)
            return _Verdict.RETRY
    except NotFound:
        return _Verdict.RETRY  # it was deleted meanwhile
    return _Verdict.WAIT if moved_on or on_busy == "queue" else _Verdict.REFUSE


async def _has_moved_on(state: AppState, order: Order, body: bytes, run: Run) -> bool:
    """Whether the client knew of this run's answer, and sends something else."""
    history = parse_history(body)
    if not history.whole:
        return False
    if order.place == "follow":
        return history.knows(run.prompt_id, run.message_id)
    return any(message.id == order.anchor for message in await state.store.chats.thread(run.id))
