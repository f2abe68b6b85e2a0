"""The few socket options that the experiments turn on."""

import socket
import struct

# IPv4 and TCP, in so many words: asyncio sets TCP_NODELAY only where the protocol is not left open.
# https://github.com/python/cpython/blob/v3.11.7/Lib/asyncio/base_events.py#L191
KIND = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
BACKLOG = 512  # a crowd of a few hundred clients connects at the same moment
NO_LINGER = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


def listen(sndbuf_bytes: int | None = None) -> socket.socket:
    """Return a socket that listens on a free port of the loopback interface.

    `sndbuf_bytes` is its `SO_SNDBUF`; accepted sockets inherit it, and Linux doubles the number.
    """
    listener = socket.socket(*KIND)
    if sndbuf_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf_bytes)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    return listener


def adopt(descriptor: int) -> socket.socket:
    """Return the socket that `listen` made in another process, as one that children do not get."""
    listener = socket.socket(*KIND, fileno=descriptor)
    listener.set_inheritable(False)
    return listener


def reset_on_close(connection: socket.socket) -> None:
    """Make the next close() send RST instead of FIN. Source: socket(7), SO_LINGER."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
