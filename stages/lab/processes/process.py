"""Helper processes: ready or explained within a deadline, their log kept, and never left behind.

Two things pass from the parent to the child by inheritance:

- the listening socket, bound to port 0 by the parent, so that there is no race for a port;
- one end of a socket pair, the leash. Whichever side ends, even by SIGKILL, the kernel closes its
  end and the other side knows at once: the parent, that the child ended before it was ready; the
  child, that its parent is gone, and then it ends itself.
"""

import faulthandler
import os
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from stages.lab.processes.children import Child, above_2
from stages.lab.processes.children import how_ended as how_ended
from stages.lab.processes.leash import end_with_parent
from stages.lab.processes.start import start
from stages.lab.sockets import adopt, listen

READY_S = 30.0  # importing openai and fastapi takes 2 s; a cold disk takes ten times that
GRACE_S = 10.0  # what a process may take to end after SIGTERM
STACKS_S = 2.0  # what it may take to write down where each of its threads stands
STACKS = signal.SIGUSR1
CENSUS = signal.SIGUSR2
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGKILL}
LOG_TAIL_LINES = 27  # where an import hangs, under the 23 frames of the machinery that imports
READY = b"ready\n"


class ProcessError(RuntimeError):
    """A helper process did not do its part. The message holds the end of its log."""


class NotReady(ProcessError):
    """It was still starting at its deadline, and was killed: it waits, where others fail."""


@dataclass(frozen=True)
class Handover:
    """The file descriptors that the child gets."""

    listener: int
    leash: int

    def as_argument(self) -> str:
        """Return the descriptors as one word of a command line."""
        return f"{self.listener},{self.leash}"

    @classmethod
    def from_argument(cls, word: str) -> "Handover":
        """Return what `as_argument` wrote."""
        return cls(*map(int, word.split(",")))

    def accept(self) -> socket.socket:
        """Return the listening socket; from now on this process ends when its parent does."""
        os.set_inheritable(self.leash, False)
        faulthandler.register(STACKS, chain=True)  # the chain ends the process
        signal.signal(CENSUS, signal.SIG_IGN)  # or it would end one that gives no census
        end_with_parent(self.leash)
        return adopt(self.listener)

    def tell_ready(self) -> None:
        """Tell the parent that requests can come."""
        os.write(self.leash, READY)


class Process:
    """A helper process `python -m MODULE … --handover …` with a listening socket of its own.

    A context manager, to be used once. `sndbuf_bytes` sets `SO_SNDBUF` of the listening socket;
    accepted sockets inherit it. Raises NotReady when the process is not ready after `ready_s`, and
    ProcessError when it ends before. Raises ProcessError on the way out, too, when it had to be
    killed after `grace_s`, unless another exception is on its way out already, or it need not end
    by itself (`must_end` is false).
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
        must_end: bool = True,
    ) -> None:
        self.name, self._argv, self._env = name, list(argv), env or {}
        self._sndbuf_bytes, self._ready_s, self._grace_s = sndbuf_bytes, ready_s, grace_s
        self._must_end = must_end
        self._kept_log = ""
        self.signalled = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._log = stack.enter_context(tempfile.TemporaryFile())
            stack.callback(self._keep_log)
            self._leash, childs_end = socket.socketpair()
            stack.enter_context(self._leash)
            with childs_end, listen(self._sndbuf_bytes) as listener:
                self.port: int = listener.getsockname()[1]
                self.url = f"http://127.0.0.1:{self.port}"
                self._child = self._start(listener, childs_end)
            stack.callback(self._child.close)
            stack.callback(self._child.kill)
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            self.signal(signal.SIGTERM)
            in_time = self.wait(self._grace_s)
            if self._must_end and not in_time:
                self._write_stacks()
        if self._must_end and not in_time and exc is None:
            raise ProcessError(
                f"{self.name} had not ended {self._grace_s:g} s after SIGTERM and was killed. "
                "Probably it waits for a stream that nothing ends, or does not listen to SIGTERM. "
                f"Let its clients leave first, or give it more time. {self.log_tail()}"
            )

    def _start(self, listener: socket.socket, leash: socket.socket) -> Child:
        passed = [above_2(end.fileno()) for end in (listener, leash)]
        words = [*self._argv, "--handover", Handover(*passed).as_argument()]
        try:
            return start(words, env=self._env, stdout=self._log.fileno(), passed=passed)
        finally:
            for descriptor in passed:
                os.close(descriptor)

    def _wait_until_ready(self) -> None:
        self._leash.settimeout(self._ready_s)
        with suppress(TimeoutError):
            if self._leash.recv(len(READY)) == READY:
                return
            self.wait(STACKS_S)  # the leash goes a moment before the process
        if self.exit_code is not None:
            raise ProcessError(
                f"{self.name} ended {how_ended(self.exit_code)} before it was ready. Probably its "
                f"import or its start-up failed; mend that, and start it again. {self.log_tail()}"
            )
        self._write_stacks()
        raise NotReady(
            f"{self.name} was not ready after {self._ready_s:g} s and was killed. Probably its "
            "import or its start-up waits for something that does not come; see below where it "
            f"stood, or give it more time. {self.log_tail()}"
        )

    def _write_stacks(self) -> None:
        """Make the process write to its log where each of its threads stands, and end."""
        self.signal(STACKS)
        self.wait(STACKS_S)

    def _keep_log(self) -> None:
        self._kept_log = self.log

    def signal(self, number: int) -> None:
        """Send a signal to the process; does nothing when it has ended."""
        if not self.wait(0):
            self.signalled = self.signalled or number in ENDING
            self._child.signal(number)

    def wait(self, deadline_s: float) -> bool:
        """Wait for the end of the process; returns whether it came before the deadline."""
        return self._child.wait(deadline_s)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def plain_because(self) -> str | None:
        """Why the start was a plain one, None for a warm one. See `start`."""
        return self._child.plain_because

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._child.returncode if self.wait(0) else None

    @property
    def log(self) -> str:
        """Everything that the process has written so far; it stays when the process has ended."""
        if self._log.closed:
            return self._kept_log
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def log_tail(self) -> str:
        """Return the end of the log as text for a message."""
        lines = self.log.rstrip().splitlines()
        if not lines:
            return "It wrote no log."
        return "Its log ends with:\n" + "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])
