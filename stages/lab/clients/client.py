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

from stages.lab.clients.sse import Comment, Event, Parser
from stages.lab.sockets import reset_on_close

READ_BYTES = 65_536
SEND_S = 10.0  # the largest request of a probe, 1 MB, takes milliseconds

Ending = Literal["clean", "cut", "reset", "malformed", "left"]


class Client:
    """One POST on one connection, and every byte that came back with its time.

    `ended` is None while the answer goes on; `clean` after the end of the body as HTTP says it,
    `cut` when the connection closed before that, `reset` when it was reset, `malformed` when the
    server sent what is not HTTP, `left` when this client closed. All times are `time.monotonic()`
    in seconds. Entering raises ConnectionRefusedError, and TimeoutError when the server does not
    take the request in SEND_S.
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
        self._request_headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._rcvbuf_bytes = rcvbuf_bytes
        self._http = h11.Connection(h11.CLIENT)
        self._parser = Parser()
        self._wake = asyncio.Event()
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
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        if self._rcvbuf_bytes is not None:  # before connect: it sets the window that is announced
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._rcvbuf_bytes)
        try:
            await self._connect()
            await self._send(self._request())
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
            "content-type": "application/json",
            "content-length": str(len(self._request_body)),
            **self._request_headers,
        }
        request = h11.Request(method="POST", target=self._target, headers=list(headers.items()))
        head = self._http.send(request) or b""
        body = self._http.send(h11.Data(data=self._request_body)) or b""
        return head + body + (self._http.send(h11.EndOfMessage()) or b"")

    async def _connect(self) -> None:
        try:
            await self._loop.sock_connect(self._socket, (self._url.hostname, self._url.port))
        except ConnectionRefusedError as exc:
            raise ConnectionRefusedError(
                f"Nobody listens at {self._url.netloc}. Probably the server there has ended; the "
                "end of its log says why."
            ) from exc

    async def _send(self, request: bytes) -> None:
        self.sent_s = time.monotonic()
        try:
            async with asyncio.timeout(SEND_S):
                await self._loop.sock_sendall(self._socket, request)
        except TimeoutError as exc:
            raise TimeoutError(
                f"The server at {self._url.netloc} did not take a request of {len(request)} bytes "
                f"in {SEND_S:g} s. Probably it neither reads it to its end nor closes."
            ) from exc
        except ConnectionError:
            pass  # it answered and closed before it had read all: what it said is there to read

    async def read(
        self,
        until: Callable[[], bool] = lambda: False,
        *,
        deadline_s: float,
        read_bytes: int = READ_BYTES,
        pause_s: float = 0.0,
    ) -> bool:
        """Read until `until()` is true or the answer has ended; returns False at the deadline.

        A slow reader takes at most `read_bytes` at a time and rests `pause_s` after each. No byte
        is lost at the deadline, or when the task is cancelled: another call reads on from there.
        """

        def enough() -> bool:
            return self.ended is not None or until()

        try:
            async with asyncio.timeout(deadline_s):
                while not enough():
                    if not self._receive(read_bytes):
                        await self._readable()
                    elif not enough():
                        await asyncio.sleep(pause_s)
        except TimeoutError:
            return False
        return True

    async def _readable(self) -> None:
        """Wait until the kernel has something for us.

        loop.sock_recv() would do, but when it is cancelled at the wrong moment, a deadline, the
        bytes that it has received are lost.
        """
        self._wake = asyncio.Event()
        self._loop.add_reader(self._socket, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if self._socket.fileno() != -1:
                self._loop.remove_reader(self._socket)

    def _receive(self, read_bytes: int) -> bool:
        """Take what the kernel has; returns whether it had something, if only the end."""
        try:
            data = self._socket.recv(read_bytes)
        except BlockingIOError:
            return False
        except ConnectionError:
            self._end("reset")
            return True
        self.wire += data
        try:
            self._http.receive_data(data)
            while self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:
            self._end("malformed" if data else "cut")
        return True

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
        return event is not h11.NEED_DATA and event is not h11.PAUSED

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
        self._loop.remove_reader(self._socket)
        self._wake.set()  # a read() in another task ends
        self._socket.close()
