"""The leash of a helper without a socket: it holds the other end of this process's stdin."""

import os
import sys
import threading


def end_with_parent() -> None:
    """End this process when its parent does, however that ends; what it has started ends too."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    os.read(sys.stdin.fileno(), 1)  # the parent never writes: this returns when its end closes
    os._exit(1)  # servers have leashes of their own, and end with this process
