"""Run `python -m stages` as a person does: in a pipe, on a terminal, and with Ctrl-C."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
import psutil
import pytest

from stages.__main__ import main
from tests.helpers.places import ROOT
from tests.helpers.until import SOON_S, until

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


def in_process(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what runs a command in this process: quick, for what needs no signal, no terminal."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["stages", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)

    return run


class Running:
    """A command in a process of its own, and what it has printed so far."""

    def __init__(self, words: Sequence[str], output: int, process: subprocess.Popen[bytes]) -> None:
        self.words, self._output, self._process = words, output, process
        self.printed = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of a pattern in what is printed; fail at the deadline."""
        deadline_s = time.monotonic() + SOON_S
        while (found := re.search(pattern, self.printed)) is None:
            if not self._read(deadline_s):
                pytest.fail(f"{self.words} did not print {pattern!r} but:\n{self.printed}")
        return found

    def end(self, number: int | None = None) -> int:
        """Send a signal, if one is given, and return the exit code once it has ended."""
        if number is not None:
            os.kill(self.pid, number)
        deadline_s = time.monotonic() + SOON_S
        while self._read(deadline_s):
            pass
        return self._process.wait(SOON_S)

    def _read(self, deadline_s: float) -> bool:
        """Read what is there, or comes before the deadline; False at the end or the deadline."""
        left_s = max(0.0, deadline_s - time.monotonic())
        if not select.select([self._output], [], [], left_s)[0]:
            return False
        try:
            new = os.read(self._output, 65_536)
        except OSError:  # how Linux says that the last one has closed a terminal
            new = b""
        self.printed += new.decode("utf-8", "replace")
        return bool(new)


@contextmanager
def started(*words: str, columns: int | None = None, **env: str) -> Iterator[Running]:
    """Start a command; on a terminal when it is given columns, otherwise in a pipe."""
    ours, theirs = os.pipe() if columns is None else pty.openpty()
    dimensions = {} if columns is None else {"COLUMNS": str(columns), "LINES": "40"}
    # What a shell starts in the background ignores Ctrl-C, and so do its children, such as these.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", *words],
        stdin=theirs if columns is not None else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", **dimensions, **env},
        start_new_session=True,  # as from another terminal: a signal to it is none to pytest
    )
    signal.signal(signal.SIGINT, handler)
    os.close(theirs)
    try:
        yield Running(words, ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def on_terminal(*words: str, columns: int = 80, **env: str) -> str:
    with started(*words, columns=columns, **env) as running:
        running.end()
    return running.printed


def descendants(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that these have.

    Without the parent of warm starts: it stays for the next start, and ends with the process.
    """
    found = _below(pid)
    return set(found) - _warm(found)


def warm_parents(pid: int) -> set[int]:
    """Return the parents of warm starts under a process."""
    return _warm(_below(pid))


def _warm(found: dict[int, tuple[int, str]]) -> set[int]:
    """Return the parents of warm starts. Their children have the same command line."""
    forks = {pid for pid, (_, words) in found.items() if "-m stages.lab.processes.warm " in words}
    return {pid for pid in forks if found[pid][0] not in forks}


def _below(pid: int) -> dict[int, tuple[int, str]]:
    """Return the parent and the command line of each process that runs below another."""
    found = dict[int, tuple[int, str]]()
    with suppress(psutil.NoSuchProcess):  # it has ended, and nothing is below it any more
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # ended since, and be it as a zombie
                found[child.pid] = child.ppid(), " ".join(child.cmdline())
    return found


def alive(pids: set[int]) -> set[int]:
    """Return those that still run; a zombie has ended and waits for somebody to notice."""
    return {pid for pid in pids if _runs(pid)}


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def gone(pids: set[int]) -> bool:
    """Return True once all of these have ended; fail at the deadline with those that run."""
    return not until(lambda: alive(pids), lambda left: not left, f"end of all of {sorted(pids)}")


def refuses(url: str) -> bool:
    """Return True once nobody listens at a URL; fail at the deadline."""
    address = httpx.URL(url).host, httpx.URL(url).port or 0
    return not until(lambda: _listens(address), lambda listens: not listens, f"silence at {url}")


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
