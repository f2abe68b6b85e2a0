"""The leash of a process: its parent holds the other end, and when that ends, the leash is cut."""

import os
import signal
import threading

STDIN = 0  # where a helper has its leash; a server has it beside its socket


def end_with_parent(leash: int = STDIN) -> None:
    """End this process and its group when the other end of `leash` closes, however that comes.

    For a process that leads a group of its own: with it goes what it has started in that group.
    Servers have a session and a leash of their own, and end with the process that started them.
    """
    threading.Thread(target=_watch, args=(leash,), daemon=True).start()


def _watch(leash: int) -> None:
    os.read(leash, 1)  # the parent never writes: this returns when its end closes
    os.killpg(os.getpgrp(), signal.SIGKILL)  # the group: a server may have workers of its own
