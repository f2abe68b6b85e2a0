"""The few socket options that the experiments turn on."""

import socket
import struct
from asyncio.trsock import TransportSocket

NO_LINGER = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


def listen(sndbuf_bytes: int | None = None) -> socket.socket:
    """Return a socket that listens on a free port of the loopback interface.

    `sndbuf_bytes` is its `SO_SNDBUF`; accepted sockets inherit it, and Linux doubles the number.
    """
    listener = socket.socket()
    if sndbuf_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf_bytes)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def reset_on_close(connection: socket.socket | TransportSocket) -> None:
    """Make the next close() send RST instead of FIN. Source: socket(7), SO_LINGER."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
