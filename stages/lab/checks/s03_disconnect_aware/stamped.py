"""A small app behind a learner's middleware, for the check of it.

The pickled class is in the file that ANSWER_FILE names. What the app does at a path is what a check
asks for; `/saw` tells what the app has seen.

Only the server imports this: the class is loaded here, and what that imports may be the exercise.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import cloudpickle
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from stages.lab.checks.s03_disconnect_aware.stamp_cases import ANSWER_FILE, PURPOSE, WAIT_S

LOOK_S = 0.02  # between two looks for the client, as a handler does that polls

saw: dict[str, asyncio.Event] = {}


def seen(what: str) -> asyncio.Event:
    """Return the event for something that the app sees."""
    return saw.setdefault(what, asyncio.Event())


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Note that the server has started the app."""
    seen("start").set()
    yield


async def has_seen(request: Request) -> Response:
    """Tell whether the app sees what the body names, soon."""
    what = (await request.body()).decode()
    try:
        async with asyncio.timeout(WAIT_S):
            await seen(what).wait()
    except TimeoutError:
        return JSONResponse(False)
    return JSONResponse(True)


async def plain(request: Request) -> Response:
    """Answer with what was sent, and with two cookies."""
    response = PlainTextResponse(b"you said " + await request.body())
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def fails(request: Request) -> Response:
    """Fail: Starlette answers 500, and raises it again for the server's log."""
    raise RuntimeError(PURPOSE)


async def pieces(request: Request) -> Response:
    """Send a piece, and the next one only when somebody has said `next`."""

    async def body() -> AsyncIterator[str]:
        yield "one "
        await seen("next").wait()
        yield "two"

    return StreamingResponse(body(), media_type="text/plain")


async def say_next(request: Request) -> Response:
    """Let `pieces` go on."""
    seen("next").set()
    return PlainTextResponse("said")


async def asks(request: Request) -> Response:
    """Wait for the leave in a handler: `receive` says it."""
    await request.receive()  # the body, in one message
    seen("asks").set()
    message = await request.receive()
    seen("left, asks" if message["type"] == "http.disconnect" else "again").set()
    return Response()


async def polls(request: Request) -> Response:
    """Wait for the leave in a handler: look for it again and again."""
    await request.body()
    seen("polls").set()
    while not await request.is_disconnected():  # noqa: ASYNC110  # as handlers do that poll
        await asyncio.sleep(LOOK_S)
    seen("left, polls").set()
    return Response()


class Bare(Response):
    """A response that leaves `headers` out, which ASGI allows."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})


async def bare(request: Request) -> Response:
    """Answer without headers."""
    return Bare()


async def echo(websocket: WebSocket) -> None:
    """Send one message back."""
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


inner = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/plain", plain, methods=["POST"]),
        Route("/fails", fails, methods=["POST"]),
        Route("/pieces", pieces, methods=["POST"]),
        Route("/next", say_next, methods=["POST"]),
        Route("/asks", asks, methods=["POST"]),
        Route("/polls", polls, methods=["POST"]),
        Route("/saw", has_seen, methods=["POST"]),
        Route("/bare", bare, methods=["POST"]),
        WebSocketRoute("/echo", echo),
    ],
)


def strict(app: ASGIApp) -> ASGIApp:
    """Refuse headers that are not bytes. h11 lets text pass, other servers fail on it.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#response-start-send-event
    """

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        async def checked(message: Message) -> None:
            for name, value in message.get("headers", ()):
                if not (isinstance(name, bytes) and isinstance(value, bytes)):
                    raise TypeError(f"a header is two byte strings, and not {(name, value)!r}")
            await send(message)

        await app(scope, receive, checked)

    return refusing


def behind(file: str) -> ASGIApp:
    """Return the app behind the pickled class in a file."""
    return strict(cloudpickle.loads(Path(file).read_bytes())(inner))


app = behind(os.environ[ANSWER_FILE]) if ANSWER_FILE in os.environ else inner
