"""Our solutions to the short exercises of s05."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio


async def finish(write: Callable[[], Awaitable[None]], limit_s: float) -> bool:
    """Return whether the write was done within its limit, whoever cancels meanwhile."""

    async def bounded() -> bool:
        try:
            async with asyncio.timeout(limit_s):
                await write()
        except Exception:  # a timeout is one, too
            return False
        return True

    writing = asyncio.create_task(bounded())
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):  # or a cancelled scope would cancel every turn of the loop
        while not writing.done():
            try:
                await asyncio.wait({writing})
            except asyncio.CancelledError as exc:  # by task.cancel(): no scope shields from that
                cancelled = exc
    if cancelled is not None:
        raise cancelled
    return writing.result()


async def drain(tasks: set[asyncio.Task[Any]], limit_s: float) -> tuple[int, int]:
    """Return how many tasks ended within the limit, and how many were cancelled then."""
    waiting = set(tasks)  # a copy: theirs gets smaller meanwhile
    if not waiting:
        return 0, 0
    try:
        done, left = await asyncio.wait(waiting, timeout=limit_s)
    finally:  # also when somebody cancels the drain
        for task in waiting:
            task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return len(done), len(left)
