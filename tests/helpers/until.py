"""Until: look again and again at what calls nobody when it changes, and never for ever."""

import time
from collections.abc import Callable
from pprint import pformat
from typing import TypeVar

T = TypeVar("T")

SOON_S = 30.0  # what is waited for takes 2 s at most; the rest is for a busy machine
# The one pause of the tests. A log, a table or a list of processes calls nobody when it changes; to
# look without a pause would take the core from those that are waited for.
LOOK_S = 0.01


def until(
    look: Callable[[], T],
    holds: Callable[[T], bool],
    waited_for: str,
    *,
    deadline_s: float = SOON_S,
) -> T:
    """Return what is seen once a condition holds for it.

    Raises AssertionError with what was seen last, when it does not after `deadline_s`. In a
    coroutine, call it in a thread: what runs in the loop shall go on.
    """
    end_s = time.monotonic() + deadline_s
    while not holds(seen := look()):
        if time.monotonic() > end_s:
            raise AssertionError(
                f"There was no {waited_for} in {deadline_s:g} s. Seen last: {pformat(seen)}"
            )
        time.sleep(LOOK_S)
    return seen
