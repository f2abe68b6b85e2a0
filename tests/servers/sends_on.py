"""Sends until it is told that the client has left, and says by what."""

import asyncio

from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"data: a\n\n", "more_body": True})
            await asyncio.sleep(0.01)
    except OSError as exc:
        print("send raised", type(exc).__name__)
