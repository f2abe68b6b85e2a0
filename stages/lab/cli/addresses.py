"""Addresses: where a server in the foreground listens, and how to ask it from another terminal."""

import errno
import shlex
import socket
from urllib.request import getproxies

from stages.lab.cli.console import UsageError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # listens everywhere, is reached here
LAST_PORT = 65_535  # getaddrinfo counts on from 0 after it, without a word
BODY_CHARS = 68  # with its indent and its option, a line of 80


def curl(url: str, body: bytes) -> str:
    """Return a command that posts the body and shows the answer as it comes, for any POSIX shell.

    The lines are short, so that none is broken by a terminal of 80 columns.
    """
    text = body.decode()
    if len(text) > BODY_CHARS:
        text = text.replace("[{", "[\n      {", 1)  # JSON allows it, and so does a quoted word
    proxy = " --noproxy '*'" if "http" in getproxies() else ""
    return (
        f"curl -N{proxy} {url} \\\n"
        f"  -H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(text)}"
    )


def bind(host: str, port: int | None, usual: int) -> socket.socket:
    """Return a socket that listens: at `port`, or at the usual one or any free one when None.

    Raises UsageError for an address that cannot be had.
    """
    if port is not None and not 0 <= port <= LAST_PORT:
        raise UsageError(f"{port} is no port. Give one up to {LAST_PORT}; 0 takes any free one.")
    for attempt in (port,) if port is not None else (usual, 0):
        try:
            return _listen(host, attempt)
        except OverflowError as exc:
            raise UsageError(
                f"{attempt} is no port: ports end at 65535. Take a lower one."
            ) from exc
        except OSError as exc:
            if port is None and attempt == usual and exc.errno == errno.EADDRINUSE:
                continue
            raise UsageError(_why_not(host, attempt, exc)) from exc
    raise AssertionError("the last attempt returns or raises")


def _listen(host: str, port: int) -> socket.socket:
    # Every part in words: asyncio sets TCP_NODELAY only where the socket names its protocol.
    kind, how, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(kind, how, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or TIME_WAIT is "in use"
        listener.bind(address)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def _why_not(host: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use, probably by another server that still runs. "
            f"Stop that one, or give another port; --port 0 takes any free one."
        )
    if exc.errno == errno.EACCES:
        return f"Port {port} may not be used: those below 1024 are the system's. Take a higher one."
    return f"{host} is no address of this machine ({exc.strerror}). Leave out --host."


def url_of(listener: socket.socket) -> str:
    """Return where a listening socket can be reached from this machine."""
    host, port = listener.getsockname()[:2]
    host = EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
