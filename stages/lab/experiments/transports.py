"""Four ways to send the same tokens, and what a client can know of each.

The app answers with scripted courses, so that the ways can be laid side by side: one JSON document,
chunked text, Server-Sent Events, and WebSocket. It is no stage: it has no upstream and no model.
"""

import asyncio
import codecs
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from stages.lab.clients.client import READ_BYTES, Client
from stages.lab.clients.sse import Event
from stages.lab.processes.process import Process

TOKENS = ("The", " cat", " said:", "\n\n", "- m", "eow", " \U0001f408", "!")
LONG_TOKEN = "x" * 200_000
DELAY_S = 0.1
DEADLINE_S = 10.0

Course = Literal["complete", "stops early", "fails", "one long token"]
COURSES: tuple[Course, ...] = ("complete", "stops early", "fails", "one long token")
WAYS = ("one document", "chunked text", "SSE", "WebSocket")

app = FastAPI()


class Failure(Exception):
    """The model breaks down in the middle of an answer."""


async def tokens(course: Course) -> AsyncIterator[str]:
    """Yield the tokens of a course; raises Failure where it says so."""
    if course == "one long token":
        yield LONG_TOKEN
        return
    for token in TOKENS if course == "complete" else TOKENS[: len(TOKENS) // 2]:
        await asyncio.sleep(DELAY_S)
        yield token
    if course == "fails":
        raise Failure


@app.post("/one document")
async def one_document(course: Course) -> JSONResponse:
    """Collect all tokens, then send them."""
    return JSONResponse({"text": "".join([token async for token in tokens(course)])})


@app.post("/chunked text")
async def chunked_text(course: Course) -> StreamingResponse:
    """Send the tokens as they are. A failure can only break the connection."""
    return StreamingResponse(tokens(course), media_type="text/plain")


@app.post("/SSE")
async def sse(course: Course) -> StreamingResponse:
    """Send an event for each token, and one that says how it ended."""

    async def events() -> AsyncIterator[str]:
        try:
            async for token in tokens(course):
                yield f"event: token\ndata: {json.dumps(token)}\n\n"
        except Failure:
            yield "event: error\ndata: {}\n\n"
            return
        if course != "stops early":
            yield "event: done\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.websocket("/WebSocket")
async def web_socket(connection: WebSocket, course: Course) -> None:
    """Send a message for each token, and one that says how it ended."""
    await connection.accept()
    try:
        async for token in tokens(course):
            await connection.send_json({"token": token})
        if course != "stops early":
            await connection.send_json({"done": {}})
    except Failure:
        await connection.send_json({"error": {}})
    await connection.close()


@dataclass
class Received:
    """What a client got: its pieces of text with their times, and what it knows of the end.

    `pieces` has (seconds since the request, text). `body_bytes` counts what came over the wire
    behind the headers. `end` is in words.
    """

    pieces: list[tuple[float, str]] = field(default_factory=list)
    body_bytes: int = 0
    end: str = ""


def app_process() -> Process:
    """Return the app under uvicorn as a context manager; inside, it is ready at `.url`."""
    return Process("The transports app", ["stages.lab.processes.host", f"{__name__}:app"])


async def compare(course: Course) -> dict[str, Received]:
    """Run the app and ask for a course in each of the WAYS; returns what the client got in each."""
    with app_process() as process:
        return {way: await receive(process.url, way, course) for way in WAYS}


async def receive(url: str, way: str, course: Course) -> Received:
    """Ask the app at `url` for a course in one of the WAYS; returns what the client got."""
    target = f"{url}/{way}?course={course}".replace(" ", "%20")
    if way == "WebSocket":
        return await _receive_messages(target)
    async with Client(target, b"") as client:
        await client.read(deadline_s=DEADLINE_S)
    end = "the end" if client.ended == "clean" else f"connection {client.ended}"
    if client.status != 200:
        return Received(end=f"status {client.status}")
    body_bytes = len(client.wire) - client.wire.index(b"\r\n\r\n") - 4
    if way == "SSE":
        return _events_received(client, body_bytes, end)
    decode = codecs.getincrementaldecoder("utf-8")().decode  # a piece may end inside a character
    pieces = [(at_s - client.sent_s, decode(data)) for at_s, data in client.pieces]
    return Received(pieces, body_bytes, end)


def _events_received(client: Client, body_bytes: int, end: str) -> Received:
    events = [
        (at_s - client.sent_s, item) for at_s, item in client.items if isinstance(item, Event)
    ]
    pieces = [(at_s, json.loads(event.data)) for at_s, event in events if event.type == "token"]
    ends = [event.type for _, event in events if event.type != "token"]
    return Received(pieces, body_bytes, ends[0] if ends else f"{end}, without done")


async def _receive_messages(url: str) -> Received:
    """Speak WebSocket over a raw socket, so that the bytes can be counted as in the other ways."""
    protocol = ClientProtocol(parse_uri(url.replace("http", "ws", 1)))
    protocol.send_request(protocol.connect())
    place, loop = urlsplit(url), asyncio.get_running_loop()
    wire, got = bytearray(), Received(end="connection closed, without done")
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.setblocking(False)
        start_s = time.monotonic()
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await loop.sock_sendall(connection, b"".join(protocol.data_to_send()))
                data = await loop.sock_recv(connection, READ_BYTES)
                if not data:
                    break
                wire += data
                protocol.receive_data(data)
                for event in protocol.events_received():
                    if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                        _take(got, json.loads(bytes(event.data)), time.monotonic() - start_s)
    got.body_bytes = len(wire) - wire.index(b"\r\n\r\n") - 4
    return got


def _take(got: Received, message: dict[str, Any], at_s: float) -> None:
    if "token" in message:
        got.pieces.append((at_s, message["token"]))
    else:
        got.end = next(iter(message))
