"""The parent of warm starts, as those see it that ask it for children.

The first start of a process starts it, and it ends with that process, however that is. A helper
that starts helpers of its own asks the same one. See `warm` for what it does.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

from stages.lab.checkout import ROOT
from stages.lab.processes.children import Warm, above_2, how_ended

READY = b"R"
KNOCK = b"K"
READY_S = 60.0  # to import it all: 2 s; the rest is for a cold disk and a busy machine
ANSWER_S = 30.0  # measured: 10 ms, and each start waits for those before it
ENDED_S = 1.0  # it closes its sockets a moment before its exit code is there
# It has none of these: its children are given theirs, see `forked`.
GIVEN = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONWARNINGS")


class NotWarm(Exception):
    """A warm start cannot be had, or would not be what a plain one is; the message says why."""


class Parent:
    """The parent of warm starts, as those see it that ask it for one. It ends when we do."""

    def __init__(self, channel: socket.socket, popen: subprocess.Popen[bytes] | None) -> None:
        self._channel, self._popen = channel, popen

    def start(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> Warm:
        """Return the child that was asked for; raises NotWarm."""
        ours, theirs = socket.socketpair()
        with ExitStack() as stack:
            stack.enter_context(ours)
            stack.callback(theirs.close)
            document = json.dumps(request).encode() + b"\n"
            try:
                socket.send_fds(self._channel, [KNOCK], [theirs.fileno()])
                theirs.close()
                sent = socket.send_fds(ours, [document], descriptors)
                if sent < len(document):  # none is too few: the parent may have said no, and left
                    ours.sendall(document[sent:])
                answer = self._answer(ours)
            except ConnectionError:
                answer = {}
            if not answer:
                raise NotWarm(self._gone())
            if "plain" in answer:
                raise NotWarm(answer["plain"])
            stack.pop_all()
        return Warm(ours, answer["pid"])

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        connection.settimeout(ANSWER_S)
        told = b""
        while not told.endswith(b"\n"):
            if not (new := connection.recv(1)):  # the exit code may follow at once
                return {}
            told += new
        connection.settimeout(None)
        answer: dict[str, Any] = json.loads(told)
        return answer

    def _gone(self) -> str:
        """Return why there was no answer; forget this parent when it has ended."""
        how = ""
        if self._popen is not None:
            try:
                how = f" {how_ended(self._popen.wait(ENDED_S))}"
            except subprocess.TimeoutExpired:  # and others have children of it
                return "The parent of warm starts gave no answer. Probably the machine is busy."
        Known.forget()
        return (
            f"The parent of warm starts has ended{how}. Probably it was killed, or memory is "
            "short. The next start has a new one."
        )

    def leave(self) -> None:
        """Ask this parent nothing more."""
        self._channel.close()

    def end(self) -> None:
        """Let the parent end, if we have started it."""
        self.leave()
        if self._popen is not None:
            self._popen.wait()


class Known:
    """The parent that this process asks, or why it has none."""

    parent: Parent | None = None
    failed: str | None = None
    lock = threading.Lock()

    @classmethod
    def get(cls) -> Parent:
        """Return the parent, a new one at the first call; raises NotWarm."""
        with cls.lock:
            if cls.failed is not None:
                raise NotWarm(cls.failed)
            if cls.parent is None:
                try:
                    cls.parent = _new_parent()
                except NotWarm as exc:
                    cls.failed = str(exc)
                    raise
            return cls.parent

    @classmethod
    def take(cls, channel: socket.socket) -> None:
        """Ask the parent on a channel from now on: this process is its child."""
        cls.parent = Parent(channel, None)

    @classmethod
    def forget(cls) -> None:
        """Have no parent, whoever else asks it."""
        parent, cls.parent = cls.parent, None
        if parent is not None:
            parent.leave()

    @classmethod
    def end(cls) -> None:
        """Let the parent end before this process does, if that has started it."""
        if cls.parent is not None:
            cls.parent.end()


def _new_parent() -> Parent:
    """Start a parent of warm starts, and wait until it is ready; raises NotWarm."""
    if not hasattr(os, "fork"):
        raise NotWarm("There is no fork on this system.")
    env = {name: value for name, value in os.environ.items() if name not in GIVEN}
    ours, theirs = socket.socketpair()
    with ExitStack() as stack, tempfile.TemporaryFile() as log:
        stack.enter_context(ours)
        with theirs:
            passed = above_2(theirs.fileno())
        try:
            popen = subprocess.Popen(
                [sys.executable, "-m", "stages.lab.processes.warm", str(passed)],
                pass_fds=[passed],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**env, "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
                start_new_session=True,
            )
        finally:
            os.close(passed)
        stack.callback(popen.wait)
        stack.callback(popen.kill)
        _wait_until_ready(ours, popen, log)
        stack.pop_all()
    return Parent(ours, popen)


def _wait_until_ready(
    channel: socket.socket, popen: subprocess.Popen[bytes], log: IO[bytes]
) -> None:
    channel.settimeout(READY_S)
    try:
        ready = channel.recv(1) == READY
    except OSError:
        ready = False
    channel.settimeout(None)
    if ready:
        return
    try:
        how = f"ended {how_ended(popen.wait(1))} before it was ready"
    except subprocess.TimeoutExpired:
        how = f"was not ready after {READY_S:g} s"
    log.seek(0)
    said = log.read().decode("utf-8", "replace").rstrip().split("\n")[-1]
    raise NotWarm(f"The parent of warm starts {how}. The last line of its log: {said!r}.")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Known.forget)  # or it would end with the last one
atexit.register(Known.end)
