"""Helper processes: ready or explained within a deadline, their log kept, and never left behind.

Three things pass from the parent to the child by inheritance:

- the listening socket, bound to port 0 by the parent, so that there is no race for a port;
- the write end of a status pipe: the child writes one line when it is ready. When the child ends,
  for whatever reason, its end closes and the parent knows at once;
- the read end of a lifeline: the parent holds the other end and never writes. When the parent ends,
  even by SIGKILL, the kernel closes it, and the child ends itself.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from stages.lab.sockets import listen

READY_S = 30.0  # importing openai and fastapi takes 2 s; a cold disk takes ten times that
GRACE_S = 10.0  # what a process may take to end after SIGTERM
LOG_TAIL_LINES = 12
READY = b"ready\n"


class ProcessError(RuntimeError):
    """A helper process did not do its part. The message holds the end of its log."""


@dataclass(frozen=True)
class Handover:
    """The file descriptors that the child gets."""

    listener: int
    status: int
    lifeline: int

    def as_argument(self) -> str:
        """Return the descriptors as one word of a command line."""
        return f"{self.listener},{self.status},{self.lifeline}"

    @classmethod
    def from_argument(cls, word: str) -> "Handover":
        """Return what `as_argument` wrote."""
        return cls(*map(int, word.split(",")))

    def accept(self) -> socket.socket:
        """Return the listening socket; from now on this process ends when its parent does."""
        os.set_inheritable(self.status, False)
        threading.Thread(target=_end_with_parent, args=(self.lifeline,), daemon=True).start()
        return socket.socket(fileno=self.listener)

    def tell_ready(self) -> None:
        """Tell the parent that requests can come."""
        os.write(self.status, READY)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)  # the group: a server may have workers of its own


class Process:
    """A helper process `python -m MODULE … --handover …` with a listening socket of its own.

    `sndbuf_bytes` sets `SO_SNDBUF` of the listening socket; accepted sockets inherit it.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        sndbuf_bytes: int | None = None,
        ready_s: float = READY_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self.name, self._argv, self._env = name, list(argv), env
        self._sndbuf_bytes, self._ready_s, self._grace_s = sndbuf_bytes, ready_s, grace_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object

    def __enter__(self) -> Self:
        listener = listen(self._sndbuf_bytes)
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._status, child_status = os.pipe()
        child_lifeline, self._lifeline = os.pipe()
        handover = Handover(listener.fileno(), child_status, child_lifeline)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *self._argv, "--handover", handover.as_argument()],
                pass_fds=(handover.listener, handover.status, handover.lifeline),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=None if self._env is None else {**os.environ, **self._env},
                start_new_session=True,  # Ctrl-C reaches the parent only, which then ends us
            )
        finally:
            listener.close()
            os.close(child_status)
            os.close(child_lifeline)
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ended = self._end()
        if not ended and exc is None:
            raise ProcessError(
                f"{self.name} had not ended {self._grace_s:g} s after SIGTERM and was killed. "
                f"Probably it waits for a stream that nothing ends. {self.log_tail()}"
            )

    def _wait_until_ready(self) -> None:
        readable, _, _ = select.select([self._status], [], [], self._ready_s)
        if readable and os.read(self._status, len(READY)) == READY:
            return
        if readable:
            code = self._popen.wait()
            raise ProcessError(
                f"{self.name} ended with exit code {code} before it was ready. {self.log_tail()}"
            )
        raise ProcessError(
            f"{self.name} was not ready after {self._ready_s:g} s. Probably its import or its "
            f"start-up waits for something. {self.log_tail()}"
        )

    def _end(self) -> bool:
        """End the process and all of its group; returns whether SIGTERM was enough."""
        running = self._popen.poll() is None
        try:
            self.signal(signal.SIGTERM)
            return self.wait(self._grace_s)
        finally:
            if running:  # otherwise the id may be another group's by now
                self._kill_group()
            for descriptor in (self._status, self._lifeline):
                os.close(descriptor)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a zombie
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process; does nothing when it has ended."""
        self._popen.send_signal(number)

    def wait(self, deadline_s: float) -> bool:
        """Wait for the end of the process; returns whether it came before the deadline."""
        try:
            self._popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._popen.poll()

    @property
    def log(self) -> str:
        """Everything that the process has written so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def log_tail(self) -> str:
        """Return the end of the log as text for a message."""
        lines = self.log.rstrip().splitlines()
        if not lines:
            return "It wrote no log."
        return "Its log ends with:\n" + "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])
