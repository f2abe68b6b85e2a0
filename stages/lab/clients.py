"""Clients on raw sockets: one that reads properly, and ones that leave, read slowly, or stop.

No HTTP library stands between: it would read ahead, hide how a connection ended, and close it when
it sees fit. The socket is read only when a method here is called, so a client that reads nothing
takes nothing but what its kernel takes.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import h11

from stages.lab.sockets import reset_on_close
from stages.lab.sse import Comment, Event, Parser

READ_BYTES = 65_536

Ending = Literal["clean", "cut", "reset", "left"]


class Client:
    """One POST on one connection, and every byte that came back with its time.

    `ended` is None while the answer goes on; `clean` after the end of the body as HTTP says it,
    `cut` when the connection closed before that, `reset` when it was reset, `left` when this
    client closed. All times are `time.monotonic()` in seconds.
    """

    def __init__(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        rcvbuf_bytes: int | None = None,
    ) -> None:
        self._url, self._request_body = urlsplit(url), body
        self._target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        self._request_headers = {"content-type": "application/json", **(headers or {})}
        self._rcvbuf_bytes = rcvbuf_bytes
        self._http = h11.Connection(h11.CLIENT)
        self._parser = Parser()
        self.sent_s = 0.0
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.headers_s: float | None = None
        self.wire = bytearray()
        self.body = bytearray()
        self.pieces: list[tuple[float, bytes]] = []
        self.items: list[tuple[float, Event | Comment]] = []
        self.ended: Ending | None = None
        self.ended_s: float | None = None

    @property
    def events(self) -> list[Event]:
        """The events that have come so far, without the comments."""
        return [item for _, item in self.items if isinstance(item, Event)]

    async def __aenter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.setblocking(False)
        if self._rcvbuf_bytes is not None:  # before connect: it sets the window that is announced
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._rcvbuf_bytes)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(self._socket, (self._url.hostname, self._url.port))
            self.sent_s = time.monotonic()
            await loop.sock_sendall(self._socket, self._request())
        except BaseException:
            self._socket.close()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def _request(self) -> bytes:
        headers = {
            "host": self._url.netloc,
            "accept": "text/event-stream",
            "content-length": str(len(self._request_body)),
            **self._request_headers,
        }
        request = h11.Request(
            method="POST", target=self._target, headers=list(headers.items())
        )
        head = self._http.send(request) or b""
        body = self._http.send(h11.Data(data=self._request_body)) or b""
        return head + body + (self._http.send(h11.EndOfMessage()) or b"")

    async def read(
        self,
        until: Callable[[], bool] = lambda: False,
        *,
        deadline_s: float,
        read_bytes: int = READ_BYTES,
        pause_s: float = 0.0,
    ) -> bool:
        """Read until `until()` is true or the answer has ended; returns False at the deadline.

        A slow reader takes at most `read_bytes` at a time and rests `pause_s` after each.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while self.ended is None and not until():
                    await self._read_once(read_bytes)
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            return False
        return True

    async def _read_once(self, read_bytes: int) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, read_bytes)
        except ConnectionError:
            self._end("reset")
            return
        self.wire += data
        try:
            self._http.receive_data(data)
            while self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:  # the connection closed before the end of the body
            self._end("cut")

    def _take(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> bool:
        now = time.monotonic()
        if isinstance(event, h11.Response):
            self.status, self.headers_s = event.status_code, now
            self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            self.body += event.data
            self.pieces.append((now, bytes(event.data)))
            self.items += [(now, item) for item in self._parser.feed(bytes(event.data))]
        elif isinstance(event, h11.EndOfMessage):
            self._end("clean")
            return False
        elif isinstance(event, h11.ConnectionClosed):
            self._end("cut")
            return False
        return event is not h11.NEED_DATA

    def _end(self, how: Ending) -> None:
        self.ended, self.ended_s = how, time.monotonic()

    def leave(self, how: Literal["fin", "rst"] = "fin") -> None:
        """Close the connection now, with FIN or with RST; does nothing the second time."""
        if self._socket.fileno() == -1:
            return
        if self.ended is None:
            self._end("left")
            if how == "rst":
                reset_on_close(self._socket)
            else:  # close() alone sends RST, not FIN, while there are bytes that nobody has read
                with suppress(OSError):  # the server was first
                    self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()
