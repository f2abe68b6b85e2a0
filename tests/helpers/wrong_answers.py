"""Wrong answers that more than one test file checks: on a quiet machine, and on a busy one.

None is an exercise's own test: what is told of each is in the file of its stage.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of race.

Call = Callable[[], Awaitable[Any]]


async def leaves_the_loser(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    done, _ = await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    return calling.result() if calling in done else None


async def spins(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    try:
        while not (calling.done() or leaving.done()):  # noqa: ASYNC110  # the mistake
            await asyncio.sleep(0)
    finally:
        await end(calling, leaving)
    return None if calling.cancelled() else calling.result()


async def end(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Of middleware.

STAMP = (b"x-served-by", b"stages")


class Middleware:
    """What the wrong ones have in common: the shape of a right one, with holes to fill."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.http(scope, receive, send)

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.stamp(message)
            await send(message)

        await self.app(scope, receive, stamped)

    def stamp(self, message: Message) -> None:
        message["headers"] = [*message.get("headers", ()), STAMP]


class DropsLifespan(Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)


class RepeatsTheBody(Middleware):
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()

        async def again() -> Message:
            return first

        await super().http(scope, again, send)


# Of finished_write.

Write = Callable[[], Awaitable[None]]


async def only_anyios_shield(write: Write, limit_s: float) -> bool:
    try:
        with anyio.fail_after(limit_s, shield=True):
            await write()
    except Exception:
        return False
    return True


async def own_task(write: Write, limit_s: float) -> bool:
    async def bounded() -> bool:
        return await only_anyios_shield(write, limit_s)

    task = asyncio.create_task(bounded())
    with anyio.CancelScope(shield=True):
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise
    return task.result()


# Of drained_shutdown.

Tasks = set[asyncio.Task[Any]]


async def left_running(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    if not tasks:
        return 0, 0
    done, left = await asyncio.wait(tasks, timeout=limit_s)
    await asyncio.gather(*done, return_exceptions=True)
    return len(done), len(left)


async def deaf_to_a_second_signal(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    waiting = set(tasks)
    if not waiting:
        return 0, 0
    done, left = await asyncio.wait(waiting, timeout=limit_s)
    for task in left:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return len(done), len(left)
