"""A stage whose first requests are cancelled at random moments, as uvicorn cancels at its limit."""

import asyncio
import os
import random
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from starlette.types import Receive, Scope, Send

REQUESTS = 200
LATEST_S = 0.3  # most streams of the test have ended by then
chance = random.Random(20_261_120)  # the same moments in every run
stage = import_module(f"stages.{os.environ['STAGE']}")
requests = iter(range(REQUESTS))


@sa.event.listens_for(sa.Engine, "connect")
def wait_for_locks(connection: Any, _: object) -> None:
    """Its default, 5 s, is not enough for many writers on a busy machine."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.close()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or next(requests, None) is None:
        await stage.app(scope, receive, send)
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    count = chance.choice((0, 1, 1, 2))
    timers = [loop.call_later(chance.uniform(0, LATEST_S), task.cancel) for _ in range(count)]
    try:
        await stage.app(scope, receive, send)
    finally:
        for timer in timers:
            timer.cancel()
