"""The doctor on the machine: its sockets, its clock, its limits."""

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from stages.lab.doctor.findings import Finding

OPEN_FILES = 1024  # a probe opens 200 connections at once, and each costs both of its ends one
DISK_MB = 500  # logs, a database, pictures; the packages are installed by now
MEMORY_MB = 1000  # JupyterLab, a kernel, a browser's tab, and three servers


def loopback() -> Finding:
    """Judge whether two sockets on this machine reach each other."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname(), timeout=5) as client,
        ):
            listener.settimeout(5)
            with listener.accept()[0] as peer:
                peer.sendall(b"!")
            client.recv(1)
    except OSError as exc:
        return Finding(
            "missing",
            f"sockets on 127.0.0.1 do not reach each other: {exc}",
            "Probably a firewall or a sandbox is in the way. Allow connections to 127.0.0.1.",
        )
    return Finding("ready", "sockets on 127.0.0.1 reach each other")


def clock() -> Finding:
    """Judge whether processes share one monotonic clock: the lab compares times across them."""
    before_s = time.monotonic()
    program = [sys.executable, "-S", "-c", "import time; print(time.monotonic())"]
    inside_s = float(subprocess.run(program, capture_output=True, check=True, text=True).stdout)
    if before_s < inside_s < time.monotonic():
        return Finding("ready", "all processes share one monotonic clock")
    return Finding(
        "missing",
        "each process has a monotonic clock of its own",
        "The times of client, server and upstream cannot be compared. Use another machine.",
    )


def port(number: int) -> Finding:
    """Judge whether the port of `run` is free."""
    try:
        socket.create_server(("127.0.0.1", number)).close()
    except OSError:
        what = f"port {number} is in use"
        return Finding("warning", what, "`run` takes another one, and prints which.")
    return Finding("ready", f"port {number} is free for `run`")


def proxy(proxies: Mapping[str, str], *, bypassed: bool) -> Finding:
    """Judge the proxies of the environment."""
    through = [f"{kind} through {url}" for kind, url in proxies.items() if kind in ("http", "all")]
    if not through or bypassed:
        return Finding("ready", "no proxy stands between the servers")
    return Finding(
        "warning",
        f"a proxy is set, also for this machine itself: {', '.join(through)}",
        "The kit goes around it; other programs may not: export no_proxy=127.0.0.1,localhost",
    )


def open_files_limit() -> int:
    """Return how many files this process may open; -1 for any number."""
    import resource  # Unix only

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def open_files(limit: int) -> Finding:
    """Judge the limit of open files; below 0 there is none."""
    if 0 <= limit < OPEN_FILES:
        return Finding(
            "warning",
            f"a process may open {limit} files, and a crowd of clients needs {OPEN_FILES}",
            f"Before the tour, in the same terminal: ulimit -n {OPEN_FILES}",
        )
    return Finding("ready", f"a process may open {limit if limit >= 0 else 'any number of'} files")


def disk(free_mb: int) -> Finding:
    """Judge the room for temporary files."""
    what = f"{free_mb / 1000:.1f} GB free in {tempfile.gettempdir()}"
    if free_mb < DISK_MB:
        return Finding("warning", what, f"Make room, or set TMPDIR to where {DISK_MB} MB are free.")
    return Finding("ready", what)


def memory(meminfo: Path) -> list[Finding]:
    """Judge the free memory, where the system says how much there is; macOS needs a program."""
    found = (
        re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text()) if meminfo.exists() else None
    )
    if found is None:
        return []
    free_mb = int(found[1]) // 1000
    what = f"{free_mb / 1000:.1f} GB of memory free"
    if free_mb < MEMORY_MB:
        return [Finding("warning", what, "Close other programs: a machine that swaps is slow.")]
    return [Finding("ready", what)]
