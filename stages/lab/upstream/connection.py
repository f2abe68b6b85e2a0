"""One connection of the scripted upstream: requests in, answers out, and a watch for a close.

The connection is read all the time, also before the headers of an answer are out: a server that
looks for the end of a connection only after it has sent something reports a leak that is not there.
And it is read also while a write waits for a client that takes nothing: a FIN reaches a reader
only, never a blocked writer.

It works on the socket itself: a stream library takes bytes that the kernel has not taken, and
tells a FIN from a RST only until it has an error of its own.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Coroutine, Iterable
from typing import Any

import h11

from stages.lab.sockets import reset_on_close
from stages.lab.upstream.ledger import Entry, Leave

READ_BYTES = 65_536
JSON = [("content-type", "application/json")]

# Linux joins no later bytes to a segment that was sent with it, however long the segment waits.
# Elsewhere a stream does not know it: there, bytes that wait share a segment.
ALONE = socket.MSG_EOR if sys.platform == "linux" else 0


class Exchange:
    """One connection: requests in, answers out, and an eye on whether the other side is there.

    Whoever made the connection closes it. With `byte_at_a_time`, every byte has its own segment.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._http = h11.Connection(h11.SERVER)
        self.byte_at_a_time = False
        self.entry: Entry | None = None

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """Return the next request and its body, or None when the other side has closed.

        Raises ConnectionError and h11.RemoteProtocolError.
        """
        request, body = None, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._read())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, bytes(body)
            else:
                return None

    async def _read(self) -> bytes:
        """Return what has come, waiting for it; empty bytes are the other side's FIN.

        loop.sock_recv() would do, but when it is cancelled as bytes come, they are lost: the watch
        is cancelled at the end of an answer, and there the next request comes.
        """
        while True:
            try:
                return self._socket.recv(READ_BYTES)
            except BlockingIOError:
                await _readable(self._socket)

    async def attend(self, answer: Coroutine[Any, Any, None], entry: Entry) -> None:
        """Run an answer while watching the connection; a close ends the answer and is noted."""
        self.entry = entry
        answering = asyncio.create_task(answer)
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
            else:
                entry.leave(watching.result(), time.monotonic())
        # A write can fail before the read sees why. Linux reports a RST as ECONNRESET, once, to
        # whoever comes first; and a RST after a FIN, the close of a client that had not read all,
        # as EPIPE. Source: tcp_reset() in net/ipv4/tcp_input.c.
        except ConnectionResetError:
            entry.leave("rst", time.monotonic())
        except BrokenPipeError:
            entry.leave(await watching, time.monotonic())
        finally:
            answering.cancel()
            watching.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)

    async def _watch(self) -> Leave:
        """Read until the other side closes; returns how it closed."""
        try:
            while data := await self._read():
                self._http.receive_data(data)  # the next request, kept until it is its turn
        except ConnectionResetError:
            return "rst"
        return "fin"

    async def send(self, event: h11.Event) -> float:
        """Send one h11 event. Returns as `write` does."""
        sent_s = await self.write(self._http.send(event) or b"")
        if isinstance(event, h11.Response) and self.entry is not None:
            self.entry.start(sent_s)
        return sent_s

    async def write(self, data: bytes) -> float:
        """Send bytes as they are. Returns when the kernel has taken them: the time of the last."""
        sent_s = time.monotonic()
        size, flags = (1, ALONE) if self.byte_at_a_time else (len(data), 0)
        for start in range(0, len(data), size or 1):
            # Others run before a write and not after it: a client that leaves because it has seen
            # the last byte must not be seen to leave before the entry says that the answer ended.
            await asyncio.sleep(0)
            sent_s = await self._push(memoryview(data)[start : start + size], flags)
        return sent_s

    async def _push(self, data: memoryview, flags: int) -> float:
        while True:
            sent_s = time.monotonic()
            try:
                taken = self._socket.send(data, flags)
            except BlockingIOError:
                await _writable(self._socket)
                continue
            if self.entry is not None:
                self.entry.take(taken, sent_s)
            data = data[taken:]
            if not data:
                return sent_s

    async def reply(
        self, status: int, document: Any, headers: Iterable[tuple[str, str]] = ()
    ) -> float:
        """Send a whole JSON answer. Returns as `write` does."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        length = ("content-length", str(len(body)))
        await self.send(h11.Response(status_code=status, headers=[*JSON, length, *headers]))
        sent_s = await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())
        return sent_s

    async def cut(self, half: bytes, reset: bool) -> None:
        """Break off in the middle of the body, after `half` of a chunk if given.

        The close itself comes with the end of the exchange: `next` is false from here.
        """
        if half:
            chunk = self._http.send(h11.Data(data=half)) or b""
            await self.write(chunk[: len(chunk) // 2])
        if reset:
            reset_on_close(self._socket)
        self._http.send_failed()

    def next(self) -> bool:
        """Make ready for the next request; returns whether the connection can have one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.entry, self.byte_at_a_time = None, False
        return True


async def _readable(connection: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


async def _writable(connection: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(connection)
