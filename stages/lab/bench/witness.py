"""The witness: how late this process is woken itself, all along, while a probe measures a server.

On a busy machine everybody waits: the server, the upstream, and whoever measures them. What the
machine takes from them is not the server's, so the bound of a rule about time grows by it.

The witness asks to be woken every TICK_S and notes how late it is, in the event loop whose clients
are measured: there, what holds up the loop holds up the clock that is read. One that sleeps is
woken soon, though, where one that computes has to share. So it also notes how long the server and
the upstream stood ready to run and did not (`queues`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from stages.lab.bench.verdict import Late
from stages.lab.processes.queues import Looks
from stages.lab.processes.until import LOOK_S

T = TypeVar("T")

TICK_S = 0.01
ON_TIME_S = 0.002  # measured: 0.5 ms in the mean, beside light work
# From a cause to what we see of it, processes wake one another: the client, the server, the
# upstream, the client again. Each may be as late as the latest that was seen.
WAKES = 4
LOST_S = 2.0  # after a bound of 0.25 to 2 s: what has not come by then is lost, and not late


class Witness:
    """Notes how late it is woken, while in its context. All times are `time.monotonic()`.

    It needs a running event loop. `processes` gives the numbers of those whose queues it looks at.
    Outside of its context, it says that nothing was taken.
    """

    def __init__(self, processes: Callable[[], Iterable[int]] = tuple) -> None:
        self._looks = Looks(processes)
        self._delays = list[tuple[float, float]]()  # when it was due, and when it woke
        self._due_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Witness":
        self._delays.clear()
        self._looks.clear()
        self._wait()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_s = self._timer = None
        self._looks.close()

    def _wait(self) -> None:
        self._looks.look()
        self._due_s = time.monotonic() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._wake)

    def _wake(self) -> None:
        assert self._due_s is not None  # the timer is cancelled at the end
        if (now := time.monotonic()) > self._due_s + ON_TIME_S:
            self._delays.append((self._due_s, now))
        self._wait()

    def taken_s(self, since_s: float, until_s: float | None = None) -> float:
        """Return how many seconds the machine took in this time, until now at most.

        It is what was taken from us, and what was taken from the one of the processes that has lost
        most, and never more than all of the time.
        """
        if self._due_s is not None:
            self._looks.look()
        until_s = time.monotonic() if until_s is None else until_s
        taken_s = self._late_s(since_s, until_s) + self._queued_s(since_s, until_s)
        return min(taken_s, max(0.0, until_s - since_s))

    def _queued_s(self, since_s: float, until_s: float) -> float:
        """Return how long the unluckiest process was ready to run, and did not."""
        return max(self._looks.waited_s(since_s, until_s).values(), default=0.0)

    def _late_s(self, since_s: float, until_s: float) -> float:
        """Return how late the witness was, WAKES times the worst and no more than all of it."""
        delays = [*self._delays]
        if self._due_s is not None:
            delays.append((self._due_s, time.monotonic()))  # it may be due, and not awake yet
        late = [min(woke, until_s) - max(due, since_s) for due, woke in delays]
        late = [seconds for seconds in late if seconds > 0]
        return min(sum(late), WAKES * max(late, default=0.0))

    def left_s(self, since_s: float, bound_s: float) -> float:
        """Return what is left of a bound that began then, grown by what was taken; 0 at least."""
        now = time.monotonic()
        return max(0.0, since_s + bound_s + self.taken_s(since_s, now) - now)

    def late(
        self, what: str, bound_s: float, *, since_s: float, came_s: float | None
    ) -> Late | None:
        """Return the complaint about something that came later than `bound_s`, None in time.

        The bound begins when the server could have acted. With `came_s` None, it has not come yet.
        """
        if came_s is None:
            return self.never(what, bound_s, since_s=since_s)
        taken_s = self.taken_s(since_s, came_s)
        return Late(what, bound_s, taken_s) if came_s - since_s > bound_s + taken_s else None

    def never(self, what: str, bound_s: float, *, since_s: float) -> Late:
        """Return the complaint about something that has not come yet, and should have."""
        return Late(what, bound_s, self.taken_s(since_s))

    async def see(
        self, look: Callable[[], Awaitable[T]], is_there: Callable[[T], bool], bound_s: float
    ) -> tuple[T, float | None]:
        """Look again and again until it is there; returns the last look, and when that was.

        It looks LOST_S longer than the bound: what came late is told from what never came, which
        has no time, and is no matter of time.
        """
        since_s = time.monotonic()
        while True:
            looked_s, seen = time.monotonic(), await look()
            if is_there(seen):
                return seen, looked_s
            if not self.left_s(since_s, bound_s + LOST_S):
                return seen, None
            await asyncio.sleep(LOOK_S)
