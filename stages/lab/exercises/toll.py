"""The toll: how long some processes were ready to run and did not, while an answer is checked.

The kernel keeps that account (`queues`). Where it keeps none, a thread that asks to be woken every
TICK_S is the witness: what it is late is the machine's, but for the CPU that this process had
meanwhile. For as long, an answer that computes has kept the thread from the interpreter.

A `Witness` would not do: it stands in the event loop, and an answer may hold that up.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Self

from stages.lab.processes.queues import Looks

TICK_S = 0.1  # `turns.is_busy` measures our CPU: a look takes 0.05 ms of it
ON_TIME_S = 0.005  # measured on a quiet machine: up to 1 ms; who computes yields after 5 ms


class Toll:
    """What the machine took from some processes, from its making to `close`.

    `processes` gives their numbers; it is asked in another thread, again and again. Those that have
    ended count with what they had waited when they were seen last. All times are
    `time.monotonic()`.
    """

    def __init__(self, processes: Callable[[], Iterable[int]] = lambda: [os.getpid()]) -> None:
        self._looks = Looks(processes)
        self._delays = list[tuple[float, float]]()  # of the thread: when it was due, and how late
        self._over = threading.Event()
        self._looks.look()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, and close what it looks at."""
        self._over.set()
        self._thread.join()
        self._looks.close()

    def _tick(self) -> None:
        due_s, cpu_s = time.monotonic() + TICK_S, time.process_time()
        while not self._over.wait(max(0.0, due_s - time.monotonic())):
            woken_s, used_s = time.monotonic(), time.process_time()
            if (late_s := woken_s - due_s - (used_s - cpu_s)) > ON_TIME_S:
                self._delays.append((due_s, late_s))
            self._looks.look()
            due_s, cpu_s = time.monotonic() + TICK_S, time.process_time()

    def taken_s(self, since_s: float, until_s: float | None = None) -> float:
        """Return how many seconds the machine took in this time, and never more than all of it.

        It is the sum for all of the processes: they wait for one another.
        """
        self._looks.look()
        until_s = time.monotonic() if until_s is None else until_s
        waited_s = self._looks.waited_s(since_s, until_s)
        taken_s = sum(waited_s.values())
        if not waited_s:
            taken_s = sum(late_s for due_s, late_s in self._delays if since_s <= due_s <= until_s)
        return min(taken_s, max(0.0, until_s - since_s))
