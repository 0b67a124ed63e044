"""uvicorn's HTTP protocol, with limits of size and time.

Theory of operation
===================
1. The parser keeps what it has of a head, an address or a trailer until it is complete, and
   reports nothing meanwhile. So bytes are counted where they come in, before the parser gets them.
2. `_spent` counts the bytes since the parser last reported something final: a request began,
   its head was complete, a piece of its body came, it ended. Beyond `head_bytes` it is refused.
3. A client that breaks off while its request is being answered is served as before; only the next
   request of the connection is measured. Nothing is written into the middle of a response.
4. Streams wait for slow readers themselves (`server.streams`). Other responses are in memory as a
   whole when they are complete, so they are counted, and cut when nobody reads them.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import Any, cast

from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from .gate import Gate
from .measured import MeasuredTransport
from .refusals import HEAD_TOO_LARGE, INVALID, LATE, Refusal

logger = logging.getLogger(__name__)


class Phase(Enum):
    """What the connection is receiving."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class GuardedProtocol(HttpToolsProtocol):
    """A connection with limits.

    Args:
        config, server_state, app_state, _loop: as uvicorn gives them.
        gate: what all connections of the server have in common.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        gate: Gate,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.due: float | None = None
        self.moved_at = self.body_began = 0.0
        self.unsent = 0
        self._gate, self._limits = gate, gate.limits
        self._counted: str | None = None
        self._phase = Phase.NOTHING
        self._began = self._steps = 0
        self._spent = self._received = self._discarded = 0
        self._refused = False

    # --- the connection --------------------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._measured = MeasuredTransport(transport)
        super().connection_made(self._measured)
        self._counted = self._gate.enter(self.client[0] if self.client else None)
        connected = transport.get_extra_info("socket")
        refusal = self._gate.refusal(self._counted, connected.fileno() if connected else -1)
        if refusal is None:
            self._expect(self._limits.silent_seconds)
            return
        self._refused = True
        transport.write(refusal.encode(self.server_state.default_headers))
        transport.close()  # at once: the descriptor is needed
        self._expect(self._limits.linger_seconds)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.due = None
        self._gate.leave(self, self._counted)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        most = self._limits.head_bytes
        if self._spent + len(data) <= most:
            self._feed(data)
            return
        rest = memoryview(data)
        while rest and not self.transport.is_closing() and not self._refused:
            if self._spent >= most:
                self.refuse(HEAD_TOO_LARGE)
                return
            piece = rest[: most - self._spent]
            rest = rest[len(piece) :]
            self._feed(bytes(piece))

    def _feed(self, data: bytes) -> None:
        phase, began, steps = self._phase, self._began, self._steps
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._steps == steps:
            self._spent += len(data)
        else:
            # One head began, and nothing was before it: all of the data is its own.
            alone = phase is Phase.NOTHING and self._steps == steps + 1
            self._spent = len(data) if alone and self._phase is Phase.HEAD else 0
        self._set_time(moved=self._steps != steps, began=self._began != began)
        if len(self.pipeline) > self._limits.pipelined:
            logger.warning("A client has sent more than %d requests at once.", len(self.pipeline))
            self.cut()

    # --- what the parser reports -----------------------------------------------------------------

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = Phase.HEAD
        self._began += 1
        self._steps += 1

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._phase = Phase.BODY
        self._steps += 1
        self._received = self._discarded = 0

    @override
    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._steps += 1
        if not self._received:
            self.body_began = self.loop.time()
        self._received += len(body)
        if not self.cycle.response_complete:
            self._gate.hold(self, len(body))
            return
        self._discarded += len(body)
        if self._discarded > self._limits.discarded_bytes:
            self.cut()

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = Phase.NOTHING
        self._steps += 1

    @override
    def on_response_complete(self) -> None:
        if self._received and not self.pipeline:
            self._gate.release(self)
        super().on_response_complete()
        kept = self._measured.kept_bytes()
        if kept:
            self._gate.unread(self, kept)
        if self._phase is Phase.HEAD:
            self._expect(self._limits.head_seconds)
        elif self.transport.is_closing():
            self._gate.stall(self)  # it closes when all is sent

    # --- time ------------------------------------------------------------------------------------

    def _expect(self, seconds: float | None) -> None:
        """Set the time until which something must happen; None if nothing must."""
        if seconds is None:
            self.due = None
            self._gate.unwatch(self)
        else:
            self.due = self.loop.time() + seconds
            self._gate.watch(self)

    def _set_time(self, *, moved: bool, began: bool) -> None:
        """Set the time for what must come next.

        Args:
            moved: whether the parser reported something final of the last data.
            began: whether a request began in it.
        """
        if self._phase is Phase.NOTHING:
            if moved:
                if self.due is not None:
                    self._expect(None)
            elif self.due is None and not self._is_answering():
                self._expect(self._limits.head_seconds)  # empty lines: no request has begun
        elif self._phase is Phase.HEAD:
            if began:
                self._expect(self._limits.head_seconds)
        elif moved:
            self._expect(self._body_seconds())

    def _body_seconds(self) -> float:
        """Seconds for the next piece of the body: fewer if the whole of it is slow."""
        limits = self._limits
        if not self._received:
            return limits.body_seconds
        whole = limits.body_seconds + self._received / limits.body_rate
        return min(limits.body_seconds, max(0.0, self.body_began + whole - self.loop.time()))

    def overdue(self, now: float) -> None:
        """End what has taken too long."""
        if self._refused or self.transport.is_closing():
            self.cut()
        elif self._phase is Phase.NOTHING:
            self.transport.close()  # a client that has sent nothing gets no response
            self._expect(self._limits.linger_seconds)
        elif self._phase is Phase.HEAD and self._is_answering():
            self._expect(self._limits.head_seconds)  # begins again when the response is complete
        elif self._phase is Phase.BODY and self.flow.read_paused:
            self.body_began += self._limits.body_seconds  # we do not read: not the client's fault
            self._expect(self._limits.body_seconds)
        else:
            self.refuse(LATE)

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    # --- the end ---------------------------------------------------------------------------------

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal and close, where no response has begun; else close at once."""
        self._refused = True
        self._gate.release(self)
        self.pipeline.clear()
        if self._is_answering():
            if self.cycle.response_started:
                self.cut()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._phase is Phase.BODY:  # its request was answered already
            self.cut()
            return
        self.transport.write(refusal.encode(self.server_state.default_headers))
        # Closing with unread data would reset the connection, and the client would not read this.
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._expect(self._limits.linger_seconds)

    def cut(self) -> None:
        """Close at once; what was not sent is dropped."""
        self._refused = True
        self._measured.reset()

    @override
    def send_400_response(self, msg: str) -> None:
        self.refuse(INVALID)

    @override
    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()  # when all is sent: a slow client may still be reading
            self._gate.stall(self)

    @override
    def _unsupported_upgrade_warning(self) -> None:
        logger.debug("A client has asked for an upgrade, which is not supported.")

    # --- responses that nobody reads -------------------------------------------------------------

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._gate.stall(self)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._gate.flow(self)

    def unsent_bytes(self) -> int:
        """Bytes that the client's system has not acknowledged."""
        return self._measured.unsent_bytes()

    def patience(self) -> float:
        """Seconds without progress: more for streams, which have backpressure."""
        is_stream = self._is_answering() and self.cycle.response_started
        return self._limits.stream_seconds if is_stream else self._limits.unread_seconds

    def is_receiving(self) -> bool:
        """Whether a body is being received for a request that is not answered."""
        return self._phase is Phase.BODY and self._is_answering() and not self._refused

    def holds_body(self) -> bool:
        """Whether the request's body may be in memory: no response to it has begun."""
        return self._is_answering() and not self.cycle.response_started
