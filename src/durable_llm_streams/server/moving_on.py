"""A message that comes while an answer is being written in its chat.

Theory of operation
===================
1. The AI SDK's `stop()` ends the client's request and tells the server nothing, and a request that
   ends is no stop: networks end them too. What the client asks next tells: its view of the
   conversation holds the unfinished answer, and behind it stands a new question. Or the message is
   an edit of the question, or of something before it. Who asks so has moved on.
2. Then the answer is stopped, if nobody follows it; else the message waits for it. Both keep what
   was said. A view that does not hold the answer is of somebody who races: `on_busy` decides.
3. Clients that send only their new message are not judged. They know how to stop an answer.
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

#: How long the end of a client's own request may come after its next one, in seconds.
LEAVING_SECONDS: Final = 2.0

_TRIES: Final = 8


class _Way(Enum):
    STOPPED = auto()
    WAIT = auto()
    REFUSE = auto()


async def send(state: AppState, order: Order, body: bytes) -> Sent:
    """Send a message, and see to what is in its way.

    Args:
        state: the application's.
        order: what to send; it does not wait.
        body: the request's body, which `wire.aisdk.parse_send` took.

    Raises:
        ChatBusy: it is refused.
        DurableError: see `RunStore.send`.
    """
    for _ in range(_TRIES):
        try:
            return await state.worker.send(order)
        except ChatBusy as busy:
            way = await _make_way(state, order, body, busy.run_id)
            if way is _Way.REFUSE:
                raise
            if way is _Way.WAIT:
                break
    return await state.worker.send(structs.replace(order, queue=True))


async def _make_way(state: AppState, order: Order, body: bytes, run_id: str) -> _Way:
    """Stop the run that is in the way, if that is what is wanted."""
    on_busy = state.config.on_busy
    try:
        run = await state.store.runs.find(order.owner, order.chat_id, run_id)
        moved_on = on_busy != "interrupt" and await _has_moved_on(state, order, body, run)
        if on_busy == "interrupt" or (
            moved_on and await state.streams.left(run_id, LEAVING_SECONDS)
        ):
            await state.worker.stop(run)
            return _Way.STOPPED
    except NotFound:
        return _Way.STOPPED  # it has gone by itself
    return _Way.WAIT if moved_on or on_busy == "queue" else _Way.REFUSE


async def _has_moved_on(state: AppState, order: Order, body: bytes, run: Run) -> bool:
    """Whether who asks knew of this run's answer, and asks for something else."""
    history = parse_history(body)
    if not history.whole:
        return False
    if order.place == "follow":
        return history.knows(run.prompt_id, run.message_id)
    return any(message.id == order.anchor for message in await state.store.chats.thread(run.id))
