"""The leash of a helper without a socket: it holds the other end of this process's stdin."""

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """End this process and its group when its parent ends, however that is.

    For a process that leads a group of its own. Servers have leashes, and end with this process.
    """
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    os.read(sys.stdin.fileno(), 1)  # the parent never writes: this returns when its end closes
    os.killpg(os.getpgrp(), signal.SIGKILL)
