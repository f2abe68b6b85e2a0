"""A client says truthfully what came and how it ended, and leaves, rests or stops as it is told.

The other side is a socket in the same process that does what a test says and keeps what it sees.
"""

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import pytest

from stages.lab.clients import client
from stages.lab.clients.client import Client, Ending
from stages.lab.clients.sse import Event
from stages.lab.sockets import listen, reset_on_close

SOON_S = 10.0  # what takes milliseconds; a machine may be busy
BODY = b'{"messages": []}'
EVENTS = b"data: a\n\ndata: b\n\ndata: c\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
OPEN = HEAD + b"connection: close\r\n\r\n"  # the body ends when the connection does
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
THE_CHUNK = b"1b\r\n" + EVENTS + b"\r\n"
SIZED = HEAD + b"content-length: 27\r\n\r\n"

Seen = TypeVar("Seen")
Got = TypeVar("Got")


class Other:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._loop = asyncio.get_running_loop()

    async def request(self) -> bytes:
        """Return the request, which ends with BODY."""
        request = b""
        while not request.endswith(BODY):
            request += await self._loop.sock_recv(self.socket, 65_536)
        return request

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def sees(self) -> str:
        """Return how the client closed."""
        try:
            return "fin" if await self._loop.sock_recv(self.socket, 65_536) == b"" else "bytes"
        except ConnectionResetError:
            return "rst"


def meet(
    serve: Callable[[Other], Awaitable[Seen]],
    ask: Callable[[str], Awaitable[Got]],
    *,
    sndbuf_bytes: int | None = None,
) -> tuple[Seen, Got]:
    """Let a server of one connection and a client meet; returns what each of them returns."""

    async def accept(listener: socket.socket) -> Seen:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        with connection:
            return await serve(Other(connection))

    async def both() -> tuple[Seen, Got]:
        with listen(sndbuf_bytes) as listener:
            listener.setblocking(False)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/chat"
            async with asyncio.timeout(2 * SOON_S):
                return await asyncio.gather(accept(listener), ask(url))

    return asyncio.run(both())


def answer(wire: bytes, *, reset: bool = False) -> Callable[[Other], Awaitable[None]]:
    """A server that sends these bytes and closes."""

    async def serve(other: Other) -> None:
        await other.request()
        await other.send(wire)
        if reset:
            reset_on_close(other.socket)

    return serve


async def read_all(url: str) -> Client:
    async with Client(url, BODY) as client:
        assert await client.read(deadline_s=SOON_S)
    return client


# What came.


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(CHUNKED + THE_CHUNK + b"0\r\n\r\n", id="chunked"),
        pytest.param(SIZED + EVENTS, id="content-length"),
        pytest.param(OPEN + EVENTS, id="until the connection closes"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + SIZED + EVENTS,
            id="after informational answers",
        ),
    ],
)
def test_an_answer_is_read_to_its_end(wire: bytes) -> None:
    _, client = meet(answer(wire), read_all)

    assert (client.status, client.ended) == (200, "clean")
    assert client.events == [Event(data="a"), Event(data="b"), Event(data="c")]
    assert bytes(client.body) == EVENTS


@pytest.mark.parametrize("framing", [CHUNKED + THE_CHUNK + b"0\r\n\r\n", SIZED + EVENTS])
def test_an_answer_is_over_when_its_body_is_and_not_the_connection(framing: bytes) -> None:
    async def serve(other: Other) -> str:
        await other.request()
        await other.send(framing)
        return await other.sees()

    seen, client = meet(serve, read_all)

    assert client.ended == "clean"
    assert seen == "fin"


def test_an_answer_may_come_byte_by_byte() -> None:
    wire = CHUNKED + THE_CHUNK + b"0\r\n\r\n"

    async def serve(other: Other) -> None:
        await other.request()
        for i in range(len(wire)):
            await other.send(wire[i : i + 1])
            await asyncio.sleep(0)

    _, client = meet(serve, read_all)

    assert client.ended == "clean"
    assert bytes(client.body) == EVENTS
    assert b"".join(piece for _, piece in client.pieces) == EVENTS


def test_the_wire_has_every_byte_with_the_headers() -> None:
    wire = b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + THE_CHUNK + b"0\r\n\r\n"

    _, client = meet(answer(wire), read_all)

    assert bytes(client.wire) == wire


def test_headers_have_names_in_lower_case() -> None:
    wire = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"

    _, client = meet(answer(wire), read_all)

    assert (client.status, client.headers["retry-after"]) == (429, "7")


def test_times_are_in_order() -> None:
    async def serve(other: Other) -> None:
        await other.request()
        for part in (CHUNKED, THE_CHUNK, THE_CHUNK, b"0\r\n\r\n"):
            await other.send(part)
            await read.wait()
            read.clear()

    async def ask(url: str) -> Client:
        async with Client(url, BODY) as client:
            for events in (0, 3, 6, 7):
                await client.read(
                    lambda: client.status is not None and len(client.events) >= events,  # noqa: B023
                    deadline_s=SOON_S,
                )
                read.set()
        return client

    read = asyncio.Event()
    _, client = meet(serve, ask)

    items = [at_s for at_s, _ in client.items]
    assert client.headers_s is not None
    assert client.ended_s is not None
    assert client.sent_s < client.headers_s < items[0] <= items[2] < items[3] < client.ended_s


def test_the_request_is_one_post_with_the_body_and_the_headers_given() -> None:
    async def serve(other: Other) -> bytes:
        request = await other.request()
        await other.send(SIZED + EVENTS)
        return request

    async def ask(url: str) -> None:
        async with Client(f"{url}?course=short", BODY, headers={"X-Request-ID": "r1"}) as client:
            await client.read(deadline_s=SOON_S)

    request, _ = meet(serve, ask)

    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    assert line == b"POST /chat?course=short HTTP/1.1"
    assert re.fullmatch(rb"host: 127\.0\.0\.1:\d+", headers[0])
    assert headers[1:] == [
        b"accept: text/event-stream",
        b"content-type: application/json",
        b"content-length: 16",
        b"x-request-id: r1",
    ]
    assert body == BODY


# How it ended.


@pytest.mark.parametrize(
    ("wire", "reset", "ended"),
    [
        pytest.param(CHUNKED + THE_CHUNK, False, "cut", id="no last chunk"),
        pytest.param(CHUNKED + THE_CHUNK[:9], False, "cut", id="half a chunk"),
        pytest.param(SIZED + EVENTS[:9], False, "cut", id="less than content-length"),
        pytest.param(HEAD, False, "cut", id="half of the headers"),
        pytest.param(b"", False, "cut", id="nothing"),
        pytest.param(CHUNKED + THE_CHUNK, True, "reset", id="reset in a chunked body"),
        pytest.param(OPEN + EVENTS, True, "reset", id="reset in a body without a length"),
        pytest.param(b"", True, "reset", id="reset before the headers"),
        pytest.param(b"220 mail.example ESMTP\r\n\r\n", False, "malformed", id="not HTTP"),
        pytest.param(CHUNKED + b"data: a\r\n\r\n", False, "malformed", id="not a chunk"),
    ],
)
def test_an_answer_that_breaks_off_is_called_what_it_is(
    wire: bytes, reset: bool, ended: Ending
) -> None:
    _, client = meet(answer(wire, reset=reset), read_all)

    assert client.ended == ended


@pytest.mark.parametrize("reset", [False, True])
def test_what_came_before_the_end_is_kept(reset: bool) -> None:
    _, client = meet(answer(CHUNKED + THE_CHUNK, reset=reset), read_all)

    assert client.events == [Event(data="a"), Event(data="b"), Event(data="c")]


def test_a_server_may_answer_and_close_before_it_has_read_all() -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n"

    async def serve(other: Other) -> None:
        await asyncio.get_running_loop().sock_recv(other.socket, 1000)
        await other.send(refusal)

    async def ask(url: str) -> Client:
        async with Client(url, b" " * 20_000_000) as client:
            await client.read(deadline_s=SOON_S)
        return client

    _, client = meet(serve, ask)

    assert client.status == 413


# How the client leaves.


def leave_at_the_second_event(how: str, *, read_bytes: int = 65_536) -> tuple[str, Client]:
    async def serve(other: Other) -> str:
        await other.request()
        await other.send(OPEN)
        for event in EVENTS.splitlines(keepends=True):
            await other.send(event)
        return await other.sees()

    async def ask(url: str) -> Client:
        async with Client(url, BODY) as client:
            await client.read(
                lambda: len(client.events) >= 2, deadline_s=SOON_S, read_bytes=read_bytes
            )
            client.leave("rst" if how == "rst" else "fin")
        return client

    return meet(serve, ask)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_leaves_as_it_is_told(how: str) -> None:
    seen, client = leave_at_the_second_event(how)

    assert seen == how
    assert client.ended == "left"


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_leaves_as_it_is_told_with_bytes_that_it_has_not_read(how: str) -> None:
    seen, client = leave_at_the_second_event(how, read_bytes=1)

    assert bytes(client.body) == b"data: a\n\ndata: b\n\n"  # and not one byte more
    assert seen == how


def test_a_client_that_is_done_with_leaves_by_fin() -> None:
    async def serve(other: Other) -> str:
        await other.request()
        return await other.sees()

    async def ask(url: str) -> Client:
        async with Client(url, BODY) as client:
            pass
        return client

    seen, client = meet(serve, ask)

    assert (seen, client.ended) == ("fin", "left")


def test_leaving_twice_is_leaving_once() -> None:
    async def ask(url: str) -> Client:
        async with Client(url, BODY) as client:
            client.leave("rst")
            client.leave("fin")
        return client

    async def serve(other: Other) -> str:
        return await other.sees() if await other.sees() == "bytes" else "rst"

    seen, client = meet(serve, ask)

    assert (seen, client.ended) == ("rst", "left")


def test_leaving_after_the_end_does_not_change_how_it_ended() -> None:
    async def ask(url: str) -> Client:
        client = await read_all(url)
        client.leave("rst")
        return client

    _, client = meet(answer(SIZED + EVENTS), ask)

    assert client.ended == "clean"


def test_leaving_ends_a_read_in_another_task() -> None:
    async def serve(other: Other) -> str:
        await other.request()
        return await other.sees()

    async def ask(url: str) -> bool:
        async with Client(url, BODY) as client:
            reading = asyncio.create_task(client.read(deadline_s=SOON_S))
            await asyncio.sleep(0)  # it waits now
            client.leave()
            return await reading

    _, ended = meet(serve, ask)

    assert ended


# How the client reads slowly, or not at all.


def test_a_slow_reader_takes_what_it_should_and_rests_after_each() -> None:
    async def ask(url: str) -> tuple[Client, float]:
        async with Client(url, BODY) as client:
            await client.read(lambda: client.status is not None, deadline_s=SOON_S)
            headers_read.set()
            start_s = asyncio.get_running_loop().time()
            await client.read(deadline_s=SOON_S, read_bytes=100, pause_s=0.02)
            return client, asyncio.get_running_loop().time() - start_s

    async def serve(other: Other) -> None:
        await other.request()
        await other.send(OPEN)
        await headers_read.wait()
        await other.send(b"x" * 1000)

    headers_read = asyncio.Event()

    _, (client, took_s) = meet(serve, ask)

    assert {len(piece) for _, piece in client.pieces} == {100}
    assert took_s >= 10 * 0.02


def firehose_into(rcvbuf_bytes: int | None, sndbuf_bytes: int | None) -> int:
    """Send without end to a client that reads nothing; returns how many bytes could be sent."""

    async def serve(other: Other) -> int:
        await other.request()
        sent = 0
        with suppress(TimeoutError):
            while True:
                # Half a second without room: what the kernel moves, it moves in milliseconds.
                async with asyncio.timeout(0.5):
                    sent += await send_some(other.socket, b"x" * 10_000)
        stalled.set()
        return sent

    async def ask(url: str) -> None:
        async with Client(url, BODY, rcvbuf_bytes=rcvbuf_bytes):
            await stalled.wait()

    stalled = asyncio.Event()
    sent, _ = meet(serve, ask, sndbuf_bytes=sndbuf_bytes)
    return sent


async def send_some(connection: socket.socket, data: bytes) -> int:
    loop, room = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(connection, room.set)
    try:
        await room.wait()
        return connection.send(data)
    finally:
        loop.remove_writer(connection)


def test_a_stalled_client_takes_no_more_than_its_kernel_does() -> None:
    sent = firehose_into(rcvbuf_bytes=4096, sndbuf_bytes=4096)

    # Measured: 12,288 on Linux 6.18. Another kernel may round up; without the options it is 2 MB.
    assert 0 < sent < 100_000


def test_a_small_receive_buffer_is_what_makes_it_take_little() -> None:
    small = firehose_into(rcvbuf_bytes=4096, sndbuf_bytes=4096)
    large = firehose_into(rcvbuf_bytes=None, sndbuf_bytes=4096)

    assert large > 3 * small  # measured: 140,000 and 12,288


# Deadlines.


def test_at_the_deadline_the_client_says_so_and_reads_on_from_there() -> None:
    async def serve(other: Other) -> None:
        await other.request()
        await other.send(CHUNKED + THE_CHUNK[:15])
        await late.wait()
        await other.send(THE_CHUNK[15:] + b"0\r\n\r\n")

    async def ask(url: str) -> tuple[bool, bool, Client]:
        async with Client(url, BODY) as client:
            in_time = await client.read(lambda: len(client.events) == 3, deadline_s=0.1)
            late.set()
            return in_time, await client.read(deadline_s=SOON_S), client

    late = asyncio.Event()
    _, (first, second, client) = meet(serve, ask)

    assert (first, second) == (False, True)
    assert bytes(client.body) == EVENTS


def test_no_byte_is_lost_when_it_comes_together_with_the_deadline() -> None:
    async def serve(other: Other) -> None:
        await other.request()
        await other.send(SIZED)
        await waiting.wait()
        other.socket.send(EVENTS)
        deadline_s = time.monotonic() + 0.2
        while time.monotonic() < deadline_s:  # nothing else runs: both are there afterwards
            pass

    async def ask(url: str) -> tuple[bool, Client]:
        async with Client(url, BODY) as client:
            await client.read(lambda: client.status is not None, deadline_s=SOON_S)
            reading = asyncio.create_task(client.read(deadline_s=0.1))
            await asyncio.sleep(0)  # it waits now
            waiting.set()
            in_time = await reading
            await client.read(deadline_s=SOON_S)
        return in_time, client

    waiting = asyncio.Event()
    _, (in_time, client) = meet(serve, ask)

    assert not in_time
    assert bytes(client.body) == EVENTS


def test_an_answer_that_ends_at_the_deadline_has_ended() -> None:
    async def ask(url: str) -> bool:
        async with Client(url, BODY) as client:
            return await client.read(deadline_s=0.3, pause_s=0.4, read_bytes=65_536)

    _, in_time = meet(answer(SIZED + EVENTS), ask)

    assert in_time


def test_a_server_that_does_not_take_the_request_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "SEND_S", 0.2)

    async def serve(other: Other) -> None:
        await given_up.wait()

    async def ask(url: str) -> str:
        try:
            with pytest.raises(TimeoutError) as caught:
                async with Client(url, b" " * 20_000_000):
                    pass
        finally:
            given_up.set()
        return str(caught.value)

    given_up = asyncio.Event()
    _, said = meet(serve, ask)

    assert re.fullmatch(
        r"The server at 127\.0\.0\.1:\d+ did not take a request of 20000\d\d\d bytes in 0\.2 s\. "
        r"Probably it neither reads it to its end nor closes\.",
        said,
    )


def test_a_server_that_is_not_there_is_explained() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]

        with pytest.raises(ConnectionRefusedError) as caught:
            asyncio.run(read_all(f"http://127.0.0.1:{port}/chat"))

    assert str(caught.value) == (
        f"Nobody listens at 127.0.0.1:{port}. Probably the server there has ended; the end of its "
        "log says why."
    )
