"""Turns of the event loop: conditions without a clock, for checks of code that waits.

A number of turns is the same on a busy machine as on an idle one. A number of milliseconds is not.
"""

import asyncio
import time
from collections.abc import Callable

TURNS = 100  # measured: 1 to 7 until the loser is cancelled; a poll sleeps for more
CLEANUP_TURNS = 5  # a cleanup that awaits: whoever does not wait for it is seen to go on
IDLE_S = 0.2
# Of CPU within IDLE_S. Measured: 0.0003 s in code that waits. A busy loop takes all it gets, which
# was 0.04 s with ten busy processes on two cores.
BUSY_S = 0.005


async def until(holds: Callable[[], bool]) -> bool:
    """Let the event loop turn until a condition holds; returns False after TURNS turns."""
    for _ in range(TURNS):
        if holds():
            return True
        await asyncio.sleep(0)
    return holds()


async def settle() -> None:
    """Let the event loop turn until what can go on has gone on."""
    await until(lambda: False)


async def clean_up() -> None:
    """Take a few turns, as the close of a connection does."""
    for _ in range(CLEANUP_TURNS):
        await asyncio.sleep(0)


async def is_busy() -> bool:
    """Return whether this process computes while everything in it should wait."""
    before_s = time.process_time()
    await asyncio.sleep(IDLE_S)
    return time.process_time() - before_s > BUSY_S


def keep_quiet() -> None:
    """Keep the event loop from printing what is left behind: a check says it, without addresses."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)


def strays(before: set["asyncio.Task[object]"]) -> str:
    """Say how many tasks run that were not there before, without the one that asks; or nothing."""
    current = asyncio.current_task()
    count = sum(task is not current for task in asyncio.all_tasks() - before)
    if not count:
        return ""
    return "a task of yours still runs" if count == 1 else f"{count} tasks of yours still run"
