"""Queues: how long a process was ready to run, and did not, because others had the machine.

Linux counts that for each process: the second number of /proc/PID/schedstat, in nanoseconds, of the
main thread, in which a server's event loop runs. Elsewhere nothing is known of it, and psutil does
not tell it: it has the seconds on a CPU, and none of those before one.
https://docs.kernel.org/scheduler/sched-stats.html
"""

import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path


class Queues:
    """The account of some processes, as it grows. It keeps files open until `close`."""

    def __init__(self) -> None:
        self._files = dict[int, int]()
        self._waited_s = dict[int, float]()

    def look(self, pids: Iterable[int]) -> dict[int, float]:
        """Return how many seconds each process has waited in its life; those gone as they were."""
        for pid in pids:
            with suppress(OSError):  # it has ended, or the system keeps no account
                if pid not in self._files:
                    path = Path(f"/proc/{pid}/schedstat")
                    self._files[pid] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                waited_ns = os.pread(self._files[pid], 100, 0).split()[1]
                self._waited_s[pid] = int(waited_ns) / 1e9
        return dict(self._waited_s)

    def close(self) -> None:
        """Forget all processes."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        self._waited_s.clear()


class Looks:
    """The looks at the queues of some processes, and what each waited between two moments.

    `processes` gives their numbers; it is asked at each look. Any thread may look. All times are
    `time.monotonic()`.
    """

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes, self._queues, self._lock = processes, Queues(), threading.Lock()
        self._looks = list[tuple[float, dict[int, float]]]()  # when, and how long each had waited

    def look(self) -> None:
        """Note how long each process has waited by now."""
        with self._lock:
            self._looks.append((time.monotonic(), self._queues.look(self._processes())))

    def waited_s(self, since_s: float, until_s: float) -> dict[int, float]:
        """Return how long each process waited from the look before until the look after."""
        with self._lock:
            first = bisect_right(self._looks, since_s, key=itemgetter(0)) - 1
            last = bisect_left(self._looks, until_s, key=itemgetter(0))
            looks = self._looks[max(0, first) : last + 1]
        if not looks:
            return {}
        before, after = looks[0][1], looks[-1][1]
        # One that came later has waited since it came.
        return {pid: waited - before.get(pid, 0.0) for pid, waited in after.items()}

    def clear(self) -> None:
        """Forget the looks."""
        self._looks.clear()

    def close(self) -> None:
        """Close the account; what was seen can still be asked for."""
        self._queues.close()
