"""Run as a module: says what its process is like, or ends as it is told."""

import gc
import json
import os
import signal
import sys
import tempfile
import threading
import warnings
from pathlib import Path

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP]


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def report() -> dict[str, object]:
    seen = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())
    descriptors = [number for number in seen if is_open(number)]  # one was for the look
    return {
        "path": sys.path,
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
        "leads": os.getsid(0) == os.getpgrp() == os.getpid(),
        "names": sorted(globals()),
        "name": __name__,
        "package": __package__,
        "file": __file__,
        "spec": __spec__ and __spec__.name,
        "is main": sys.modules["__main__"].__dict__ is globals(),
        "descriptors": descriptors,
        "inheritable": [number for number in descriptors if os.get_inheritable(number)],
        "handlers": [repr(signal.getsignal(number)).split(" at ")[0] for number in NUMBERS],
        "wakeup": signal.set_wakeup_fd(-1),
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "flags": repr(sys.flags),
        "streams": [
            (type(each.buffer).__name__, each.encoding, each.line_buffering, each.isatty())
            for each in (sys.stdin, sys.stdout, sys.stderr)
        ],
        "write through": getattr(sys.stdout, "write_through", None),
        "stdin": sys.stdin.read() if "read" in sys.argv else None,
        "warnings": [sys.warnoptions, repr(warnings.filters)],
        "collector": (gc.isenabled(), gc.get_threshold()),
        "threads": threading.active_count(),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "temporary": tempfile.gettempdir(),
        "prefix": (sys.prefix, sys.executable, sys.dont_write_bytecode),
        "hook": sys.excepthook is sys.__excepthook__,
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["exit", word]:
            sys.exit(int(word) if word.isdigit() else word)
        case ["raise"]:
            int("no number")
        case ["interrupt"]:
            raise KeyboardInterrupt
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["wait"]:
            print("waits")
            signal.pause()
        case _:
            print(json.dumps(report()))
