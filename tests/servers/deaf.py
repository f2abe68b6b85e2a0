"""Does not listen to SIGTERM."""

import signal

from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn has set its own before
        await send({"type": "lifespan.startup.complete"})
        await receive()
