"""A started child, in whichever of two ways: a signal to it, its end, and its exit code.

A plain one is our own, by `subprocess`. A warm one is a child of the parent of warm starts
(`warm`): only that can wait for it, and only that knows whether its number is still its own. So a
signal is asked for there, over a connection that the child's exit code comes back on.
"""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from contextlib import suppress

ALL = 0  # no signal has this number: it asks for SIGKILL to the child and its group


class Child(ABC):
    """A process of its own, in a session and a group of its own.

    `returncode` is None until `wait` has seen the end, negative for a signal. `plain_because` says
    why the start was plain, None for a warm one. `leash` is our end of its stdin where it has one.
    """

    pid: int
    returncode: int | None = None
    plain_because: str | None = None
    leash: int | None = None

    @abstractmethod
    def wait(self, deadline_s: float | None = None) -> bool:
        """Wait for the end, and then kill what is left of the group; returns whether it came."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to the process; does nothing when it has ended."""

    @abstractmethod
    def kill(self) -> None:
        """Kill the process and its group, and wait for its end."""

    def close(self) -> None:
        """Let go of it. One that has a leash ends then."""
        if self.leash is not None:
            os.close(self.leash)
            self.leash = None


class Plain(Child):
    """A child that `subprocess` has started."""

    def __init__(self, popen: subprocess.Popen[bytes], because: str) -> None:
        self._popen, self.pid, self.plain_because = popen, popen.pid, because

    def wait(self, deadline_s: float | None = None) -> bool:
        """Wait for the end, and then kill what is left of the group; returns whether it came."""
        if self.returncode is None:
            try:
                code = self._popen.wait(deadline_s)
            except subprocess.TimeoutExpired:
                return False
            kill_group(self.pid)  # now, or never: later, its number may be that of another group
            self.returncode = code
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process; does nothing when it has ended."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill the process and its group, and wait for its end."""
        if not self.wait(0):
            kill_group(self.pid)
            self.wait()


class Warm(Child):
    """A child that the parent of warm starts has forked; `connection` is to that parent."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid
        self._told, self._lock = b"", threading.Lock()

    def wait(self, deadline_s: float | None = None) -> bool:
        """Wait for the end, and then kill what is left of the group; returns whether it came."""
        if self.returncode is None and select.select([self._connection], [], [], deadline_s)[0]:
            with self._lock:
                self._listen()
        return self.returncode is not None

    def _listen(self) -> None:
        """Take what the parent says. It says one line, when the child has ended and its group."""
        if self.returncode is not None:
            return  # another thread was first
        self._told += (new := receive(self._connection))
        if self._told.endswith(b"\n"):
            self.returncode = json.loads(self._told)["ended"]
        elif not new:
            # The parent has gone, and with it all that could say how the child ends: better killed
            # and known to be than running unseen.
            kill_group(self.pid)
            self.returncode = -signal.SIGKILL

    def signal(self, number: int) -> None:
        """Send a signal to the process; does nothing when it has ended."""
        with suppress(OSError):  # it has ended, or the parent has: `wait` sees which
            self._connection.send(bytes([number]))

    def kill(self) -> None:
        """Kill the process and its group, and wait for its end."""
        self.signal(ALL)
        self.wait()

    def close(self) -> None:
        """Let go of it; the parent kills what still runs."""
        self._connection.close()
        super().close()


def kill_group(pid: int) -> None:
    """Kill the process of this number and its group, where there still is one."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a zombie
        os.killpg(pid, signal.SIGKILL)


def above_2(descriptor: int) -> int:
    """Return another number of a descriptor.

    Where our own stdin or stdout is closed, the lowest free number is one of 0, 1 and 2, and those
    of a child are replaced.
    """
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def receive(connection: socket.socket) -> bytes:
    """Return what has come; nothing at the end, however the other side ended."""
    try:
        return connection.recv(4096)
    except ConnectionError:
        return b""


def how_ended(exit_code: int) -> str:
    """Return how a process ended, as words for a message."""
    if exit_code < 0:
        return f"by {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"
