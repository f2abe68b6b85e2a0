"""An exam, from outside the room: in there are the answer and its examiner, here is the clock.

The room is a process of its own. The examiner (`examiner`) judges in it and tells us the outcome.

However the exam ends, by an outcome, a crash or an interrupt, the examiner is gone afterwards, and
with it all that it or the learner's code has started.
"""

import json
import os
import select
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from stages.lab.bench.verdict import Late
from stages.lab.checkout import ROOT
from stages.lab.exercises.outcome import Outcome
from stages.lab.exercises.toll import Toll
from stages.lab.processes.children import Child, above_2
from stages.lab.processes.start import start

READY = b"R"
START_S = 30.0  # to import what a judge needs: 2 s; the rest is for a busy machine
BROKEN = 70  # exit code of an examiner that has failed: EX_SOFTWARE of sysexits.h
FAILED = 1  # Python's own, where not even the examiner could be imported
END_S = 5.0  # behind its own deadline the examiner only writes an outcome
PRINTED_LINES = 20  # of what the learner's code wrote, the last ones


@dataclass(frozen=True)
class Ended:
    """An exam that is over. `outcome` is None when the examiner ended without one.

    `late` says what we waited for when we had to end it, `broken` that the examiner has failed, and
    not the answer.
    """

    outcome: Outcome | None
    exit_code: int
    printed: str
    late: Late | None = None
    broken: bool = False


def hold(module: str, name: str, pickled: bytes, deadline_s: float) -> Ended:
    """Have the pickled answer judged by the exercise `name` of a module of checks."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "printed").open("w+b") as out:
        file = Path(folder, "answer.pickle")
        file.write_bytes(pickled)
        env = {"TMPDIR": folder, "PYTHONWARNINGS": "ignore"}  # when killed, it cannot tidy up
        heard, exit_code = _in_process([module, name, str(file)], out, deadline_s, env)
        out.seek(0)
        lines = out.read().decode("utf-8", "replace").rstrip().split("\n")
    printed = "\n".join(lines[-PRINTED_LINES:])
    if isinstance(heard, Late):
        return Ended(None, exit_code, printed, heard)
    broken = exit_code == BROKEN or (heard is None and exit_code == FAILED)
    return Ended(_outcome(heard), exit_code, printed, broken=broken)


def _in_process(
    words: list[str], out: IO[bytes], deadline_s: float, env: dict[str, str]
) -> tuple[bytes | Late | None, int]:
    """Run the examiner; returns what we hear of it, and its exit code."""
    ours, theirs = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, ours)
        examiner = _started(words, out, theirs, env)
        stack.callback(examiner.close)
        stack.callback(examiner.kill)
        heard = _hear(ours, examiner.pid, deadline_s)
        if not isinstance(heard, Late):
            examiner.wait(END_S)  # its exit code says more than our signal
    assert examiner.returncode is not None  # it has been waited for
    return heard, examiner.returncode


def _started(words: list[str], out: IO[bytes], theirs: int, env: dict[str, str]) -> Child:
    """Return an examiner that has its end of the pipe; here it is closed."""
    path = os.pathsep.join(filter(None, (str(ROOT), *sys.path)))
    passed = above_2(theirs)
    os.close(theirs)
    try:
        return start(
            ["stages.lab.exercises.examiner", *words, str(passed)],
            env={**env, "PYTHONPATH": path},
            stdout=out.fileno(),
            passed=[passed],
            leash=True,
            starts_more=True,
        )
    finally:
        os.close(passed)


def _hear(descriptor: int, pid: int, deadline_s: float) -> bytes | Late | None:
    """Return what the examiner tells, nothing when it ends before, None when it never was ready.

    Or for what it was late, and what the machine took of it.
    """
    with Toll(lambda: [pid]) as toll:
        late, since_s = Late("the process of the check was not ready", START_S), time.monotonic()
        try:
            if _read(descriptor, 1, START_S) != READY:
                return None
            late = Late(f"nothing, {deadline_s:g} s after the check began", deadline_s)
            since_s = time.monotonic()
            return _read(descriptor, -1, deadline_s + END_S)
        except TimeoutError:
            return replace(late, taken_s=toll.taken_s(since_s))


def _read(descriptor: int, count: int, deadline_s: float) -> bytes:
    """Return so many bytes, or with -1 all up to the end; raises TimeoutError at the deadline."""
    told, end_s = bytearray(), time.monotonic() + deadline_s
    while len(told) != count:
        left_s = max(0.0, end_s - time.monotonic())
        if not select.select([descriptor], [], [], left_s)[0]:
            raise TimeoutError
        if not (new := os.read(descriptor, 1 if count == 1 else 65_536)):
            break
        told += new
    return bytes(told)


def _outcome(told: bytes | None) -> Outcome | None:
    if not told:
        return None
    fields = json.loads(told)
    return Outcome(**{**fields, "lines": tuple(map(tuple, fields["lines"]))})
