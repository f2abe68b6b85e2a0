"""Never gets done with its start-up."""

import asyncio

from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        print("connecting to the database", flush=True)
        await asyncio.Event().wait()
