"""A busy core: processes that compute, for tests of what the others on it lose."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def one_core() -> set[int]:
    """Return the one core that is kept busy (Linux)."""
    return {min(os.sched_getaffinity(0))}


@contextmanager
def busy(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Have so many processes compute on one core, for as long as the context is open (Linux)."""
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            # Each in a session of its own: sessions share a core, whatever is in them.
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
            )
            stack.callback(process.kill)
            os.sched_setaffinity(process.pid, one_core())
            processes.append(process)
        yield processes
