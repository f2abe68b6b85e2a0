"""Says something at each request, and more than a pipe holds when it ends."""

import sys

from starlette.types import Receive, Scope, Send

LINES = 20_000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for i in range(LINES):
            print("line", i, file=(sys.stdout, sys.stderr)[i % 2])
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("asked for", scope["path"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
