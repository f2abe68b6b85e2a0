"""The parent side of a check: an examiner in a process of its own, with a deadline.

However the check ends, by an outcome, a crash or an interrupt, the examiner is gone afterwards, and
with it all that it or the learner's code has started.
"""

import json
import os
import select
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stages.lab.children import ROOT, above_2
from stages.lab.outcome import Outcome
from stages.lab.start import start

READY = b"R"
START_S = 30.0  # to import what a judge needs: 2 s; the rest is for a busy machine
END_S = 5.0  # behind its own deadline the examiner only writes an outcome
PRINTED_LINES = 20  # of what the learner's code wrote, the last ones


@dataclass(frozen=True)
class Ended:
    """An exam that is over. `outcome` is None when the examiner ended without one."""

    outcome: Outcome | None
    exit_code: int
    printed: str


def hold(module: str, name: str, pickled: bytes, deadline_s: float) -> Ended:
    """Have the pickled answer judged by the exercise `name` of a module of checks."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "printed").open("w+b") as out:
        file = Path(folder, "answer.pickle")
        file.write_bytes(pickled)
        env = {"TMPDIR": folder, "PYTHONWARNINGS": "ignore"}  # when killed, it cannot tidy up
        told, exit_code = _in_process([module, name, str(file)], out, deadline_s, env)
        out.seek(0)
        lines = out.read().decode("utf-8", "replace").rstrip().split("\n")
    return Ended(_outcome(told), exit_code, "\n".join(lines[-PRINTED_LINES:]))


def _in_process(
    words: list[str], out: IO[bytes], deadline_s: float, env: dict[str, str]
) -> tuple[bytes, int]:
    """Run the examiner; returns what it told, and its exit code."""
    ours, theirs = os.pipe()
    path = os.pathsep.join(filter(None, (str(ROOT), *sys.path)))
    passed = above_2(theirs)
    os.close(theirs)
    try:
        examiner = start(
            ["stages.lab.examiner", *words, str(passed)],
            env={**env, "PYTHONPATH": path},
            stdout=out.fileno(),
            passed=[passed],
            leash=True,
            starts_more=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(passed)
    try:
        told = _read(ours, 1, START_S)
        told = _read(ours, -1, deadline_s + END_S) if told == READY else b""
        examiner.wait(END_S)  # its exit code says more than our signal
    finally:
        examiner.kill()
        examiner.close()
        os.close(ours)
    assert examiner.returncode is not None  # it has been waited for
    return told, examiner.returncode


def _read(descriptor: int, count: int, deadline_s: float) -> bytes:
    """Return so many bytes, or with -1 all up to the end; what there is at the deadline."""
    told, end_s = bytearray(), time.monotonic() + deadline_s
    while len(told) != count:
        left_s = max(0.0, end_s - time.monotonic())
        if not select.select([descriptor], [], [], left_s)[0]:
            break
        if not (new := os.read(descriptor, 1 if count == 1 else 65_536)):
            break
        told += new
    return bytes(told)


def _outcome(told: bytes) -> Outcome | None:
    if not told:
        return None
    fields = json.loads(told)
    return Outcome(**{**fields, "lines": tuple(map(tuple, fields["lines"]))})
