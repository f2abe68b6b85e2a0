"""Looking until a deadline, for what tells nobody when it changes: a file, a table, a queue.

It stands beside the processes, and not higher, because the census looks so into a log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_S = 0.01  # a look at a file or a page costs little, and no rule about time is as short
SEEN_CHARACTERS = 200  # of what was seen last, in an error


class NotInTime(Exception):
    """What was waited for had not come at the deadline."""

    def __init__(self, what: str, deadline_s: float, seen: object) -> None:
        super().__init__(
            f"Waited {deadline_s:g} s for {what}, and it did not come. What was seen last: "
            f"{seen!r:.{SEEN_CHARACTERS}}. Probably nothing brings it about any more, or this "
            "machine is busy. Look at what should bring it about, or wait longer."
        )


async def last_look(
    look: Callable[[], Awaitable[T]],
    is_there: Callable[[T], bool],
    deadline_s: float,
    *,
    every_s: float = LOOK_S,
) -> T:
    """Look every `every_s` until it is there, or `deadline_s` is over; return what was seen last.

    One more look begins when the deadline is over: whatever came in time is seen.
    """
    end_s = time.monotonic() + deadline_s
    while True:
        over = time.monotonic() >= end_s
        seen = await look()
        if over or is_there(seen):
            return seen
        await asyncio.sleep(every_s)


async def until(
    look: Callable[[], Awaitable[T]],
    is_there: Callable[[T], bool],
    deadline_s: float,
    what: str,
    *,
    every_s: float = LOOK_S,
) -> T:
    """Look until it is there, and return what was seen then; `what` is its name in the error.

    Raises NotInTime at the deadline.
    """
    seen = await last_look(look, is_there, deadline_s, every_s=every_s)
    if not is_there(seen):
        raise NotInTime(what, deadline_s, seen)
    return seen
