"""A transport that knows how much memory its unsent data needs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, Final

from typing_extensions import override

try:
    import fcntl
    import termios
except ImportError:  # Windows: a client's progress is what leaves this process
    fcntl = None  # type: ignore[assignment]

#: A transport pauses its writer above so many bytes (asyncio, uvloop); smaller data is no matter.
SMALL_BYTES: Final = 64 * 1024


class MeasuredTransport(asyncio.Transport):
    """Another transport, with the sizes of what was written.

    A transport keeps the whole of a piece until the last byte of it is sent. So its buffer's size,
    which is what is not sent, can be much less than the memory.

    Args:
        transport: does the work.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._large = 0
        # What is called for every piece goes directly.
        self.get_write_buffer_size = transport.get_write_buffer_size  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if len(data) > SMALL_BYTES:
            if not self._transport.get_write_buffer_size():
                self._large = 0
            self._large += len(data)
        self._transport.write(data)

    def kept_bytes(self) -> int:
        """The memory of what is not sent; 0 if it is little."""
        unsent = self._transport.get_write_buffer_size()
        return max(unsent, self._large) if unsent > SMALL_BYTES else 0

    def unsent_bytes(self) -> int:
        """What the client's system has not acknowledged: in this process and in the kernel.

        A kernel keeps megabytes for a connection, and takes more only when a third is free. So a
        slow client may read for a minute while nothing leaves this process.
        """
        kernel = 0
        if fcntl is not None:
            with contextlib.suppress(OSError, AttributeError):  # not every system reports it
                found = fcntl.ioctl(self._descriptor(), termios.TIOCOUTQ, bytes(4))
                kernel = struct.unpack("i", found)[0]
        return self._transport.get_write_buffer_size() + kernel

    def reset(self) -> None:
        """Close at once and drop what was not sent, also what is in the kernel."""
        with contextlib.suppress(OSError, AttributeError):
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _descriptor(self) -> int:
        return int(self._transport.get_extra_info("socket").fileno())

    @override
    def close(self) -> None:
        self._transport.close()

    @override
    def abort(self) -> None:
        self._transport.abort()

    @override
    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    @override
    def write_eof(self) -> None:
        self._transport.write_eof()

    @override
    def pause_reading(self) -> None:
        self._transport.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._transport.resume_reading()

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    @override
    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)
