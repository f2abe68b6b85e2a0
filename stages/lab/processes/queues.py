"""Queues: how long a process was ready to run, and did not, because others had the machine.

Linux counts that for each process: the second number of /proc/PID/schedstat, in nanoseconds, of the
main thread, in which a server's event loop runs. Elsewhere nothing is known of it.
https://docs.kernel.org/scheduler/sched-stats.html
"""

import os
from collections.abc import Iterable
from contextlib import suppress
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
