"""One connection of the scripted upstream: requests in, answers out, and a watch for a close.

The connection is read all the time, also before the headers of an answer are out: a server that
looks for the end of a connection only after it has sent something reports a leak that is not there.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterable
from typing import Any

import h11

from stages.lab.ledger import Entry, Leave
from stages.lab.sockets import reset_on_close

READ_BYTES = 65_536
JSON = [("content-type", "application/json")]


class Exchange:
    """One connection: requests in, answers out, and an eye on whether the other side is there."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)
        self.byte_at_a_time = False
        self.entry: Entry | None = None

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """Return the next request and its body, or None when the other side has closed."""
        request, body = None, b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(READ_BYTES))
            elif isinstance(event, h11.Request):
                request = event
                if self._http.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, body
            else:
                return None

    async def attend(self, answer: Coroutine[Any, Any, None], entry: Entry) -> None:
        """Run an answer while watching the connection; a close ends the answer and is noted."""
        self.entry = entry
        answering = asyncio.create_task(answer)
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                entry.leave(watching.result())
                self._writer.transport.abort()
            else:
                answering.result()
        except ConnectionError:  # a write failed before the read did
            entry.leave("rst")
            self._writer.transport.abort()
        finally:
            answering.cancel()
            watching.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)

    async def _watch(self) -> Leave:
        """Read until the other side closes; returns how it closed."""
        try:
            while data := await self._reader.read(READ_BYTES):
                self._http.receive_data(data)
        except ConnectionError:
            return "rst"
        return "fin"

    async def send(self, event: h11.Event) -> None:
        """Send one h11 event. Returns when the kernel has taken the bytes."""
        await self.write(self._http.send(event) or b"")

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, in one segment each if the script wants that."""
        for part in [bytes([byte]) for byte in data] if self.byte_at_a_time else [data]:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(0)  # drain() does not suspend while there is room: let others run
        if self.entry is not None:
            self.entry.sent_bytes += len(data)

    async def reply(
        self, status: int, document: Any, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Send a whole JSON answer."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        length = ("content-length", str(len(body)))
        await self.send(h11.Response(status_code=status, headers=[*JSON, length, *headers]))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    async def cut(self, half: bytes, reset: bool) -> None:
        """Close the connection in the middle of the body, after `half` of a chunk if given."""
        if half:
            chunk = self._http.send(h11.Data(data=half)) or b""
            await self.write(chunk[: len(chunk) // 2])
        if reset:
            reset_on_close(self._writer.get_extra_info("socket"))
            self._writer.transport.abort()
        else:
            self._writer.close()
        self._http.send_failed()

    def next(self) -> bool:
        """Make ready for the next request; returns whether the connection can have one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.entry, self.byte_at_a_time = None, False
        return True
