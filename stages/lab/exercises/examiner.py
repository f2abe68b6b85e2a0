"""The examiner: alone in a room with a learner's answer, it judges that and writes the outcome.

`exam` waits outside. What fails in here, but for the answer itself, ends the process with BROKEN.

A process of its own, because the answer may loop for ever, end the process, or leave something
behind; and because a notebook's event loop is patched, which distorts what several checks look at.

Where an answer was late and nothing else, and the machine took too much of its time, the outcome is
*not measured*.
"""

import asyncio
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cloudpickle

from stages.lab.bench.verdict import Late
from stages.lab.exercises import attempt
from stages.lab.exercises.exam import BROKEN, READY
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet, Outcome, not_measured, not_yet
from stages.lab.exercises.toll import Toll
from stages.lab.processes import start
from stages.lab.processes.leash import end_with_parent
from stages.lab.processes.process import ProcessError

GUESS = ". Probably it loops for ever, or waits for something that does not come."


def main(argv: Sequence[str]) -> None:
    """Judge the pickled answer in a file by an exercise; write the outcome to a descriptor."""
    module, name, file, descriptor = argv
    end_with_parent()
    os.set_inheritable(int(descriptor), False)  # what we start must not hold it open
    exercise: Short = getattr(importlib.import_module(module), name)
    told, answer = cloudpickle.loads(Path(file).read_bytes())
    attempt.learn(told)
    os.write(int(descriptor), READY)
    toll = Toll(lambda: [os.getpid(), *start.started])
    watch = Watch(exercise, int(descriptor), toll)
    outcome = watch.judge(answer)
    watch.tell(outcome)


class Watch:
    """The deadline of a check. Whoever is first, the judge or the deadline, has said it.

    `toll` is what the machine takes from this process, and from those that it starts.
    """

    def __init__(self, exercise: Short, descriptor: int, toll: Toll) -> None:
        self._exercise, self._descriptor, self._toll = exercise, descriptor, toll
        self._begun_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = threading.Lock()
        self._main = threading.get_ident()
        self.timer = threading.Timer(exercise.deadline_s, self._is_late)
        self.timer.daemon = True
        self.timer.start()

    def judge(self, answer: Any) -> Outcome:
        """Return what the judge says of the answer."""
        try:
            holds = self._judge(answer)
        except NotYet as found:
            return self._says(found, attempt.now.since_s)
        except BaseException as exc:  # the learner's may be a CancelledError, or a SystemExit
            if not attempt.where(exc.__traceback__) and isinstance(exc, Exception):
                if (starved := self._starved(attempt.unwrapped(exc))) is not None:
                    return starved
                raise  # ours: the check is broken
            return not_yet(self._exercise.name, attempt.failed(exc))
        return Outcome("right", self._exercise.name, holds)

    def _says(self, found: NotYet, since_s: float, guess: str = "") -> Outcome:
        """Return what a complaint says about a call that began then; `guess` is why it is late."""
        if found.within_s is not None:
            late = Late(found.got, found.within_s, self._toll.taken_s(since_s, found.said_s))
            if late.undecided:
                return not_measured(self._exercise.name, found.call, late)
            found.got += guess
        return not_yet(self._exercise.name, found)

    def _starved(self, exc: BaseException) -> Outcome | None:
        """Return the outcome where a helper of ours was late, and the machine is why."""
        spent_s = time.monotonic() - self._begun_s
        late = Late("a helper of the check was late", spent_s, self._toll.taken_s(self._begun_s))
        if not isinstance(exc, ProcessError | TimeoutError) or not late.undecided:
            return None
        return not_measured(self._exercise.name, attempt.now.call, late)

    def _judge(self, answer: Any) -> str:
        judged = self._exercise.judge(answer)
        if isinstance(judged, str):
            return judged
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            return runner.run(judged)

    def tell(self, outcome: Outcome) -> None:
        """Write the outcome and end the process at once, whatever still runs in it."""
        self._told.acquire()  # for good: the other one waits here for the end of the process
        sys.stdout.flush()
        with os.fdopen(self._descriptor, "wb") as out:
            out.write(json.dumps(asdict(outcome)).encode())
        os._exit(0)

    def _is_late(self) -> None:
        frame = sys._current_frames().get(self._main)
        at, now = attempt.standing(frame, self._loop), attempt.now
        within_s = self._exercise.deadline_s
        got = f"nothing, {within_s:g} s after the check began"
        late = NotYet(now.call, got, now.expected, now.rule, at, within_s)
        self.tell(self._says(late, self._begun_s, GUESS))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        sys.exit(BROKEN)
