"""The child side of a check: it has the learner's answer, judges it, and writes the outcome.

A process of its own, because the answer may loop for ever, end the process, or leave something
behind; and because a notebook's event loop is patched, which distorts what several checks look at.
"""

import asyncio
import importlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cloudpickle

from stages.lab import attempt
from stages.lab.exam import READY
from stages.lab.exercise import Short
from stages.lab.leash import end_with_parent
from stages.lab.outcome import NotYet, Outcome, not_yet


def main(argv: Sequence[str]) -> None:
    """Judge the pickled answer in a file by an exercise; write the outcome to a descriptor."""
    module, name, file, descriptor = argv
    end_with_parent()
    os.set_inheritable(int(descriptor), False)  # what we start must not hold it open
    exercise: Short = getattr(importlib.import_module(module), name)
    told, answer = cloudpickle.loads(Path(file).read_bytes())
    attempt.learn(told)
    os.write(int(descriptor), READY)
    watch = Watch(exercise, int(descriptor))
    outcome = watch.judge(answer)
    watch.tell(outcome)


class Watch:
    """The deadline of a check. Whoever is first, the judge or the deadline, has said it."""

    def __init__(self, exercise: Short, descriptor: int) -> None:
        self._exercise, self._descriptor = exercise, descriptor
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = threading.Lock()
        self._main = threading.get_ident()
        timer = threading.Timer(exercise.deadline_s, self._is_late)
        timer.daemon = True
        timer.start()

    def judge(self, answer: Any) -> Outcome:
        """Return what the judge says of the answer."""
        try:
            holds = self._judge(answer)
        except NotYet as found:
            return not_yet(self._exercise.name, found)
        except BaseException as exc:  # the learner's may be a CancelledError, or a SystemExit
            if not attempt.where(exc.__traceback__) and isinstance(exc, Exception):
                raise  # ours: the parent says that the check is broken
            return not_yet(self._exercise.name, attempt.failed(exc))
        return Outcome("right", self._exercise.name, holds)

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
        late = NotYet(
            now.call,
            f"nothing, {self._exercise.deadline_s:g} s after the check began. Probably it loops "
            "for ever, or waits for something that does not come.",
            now.expected,
            now.rule,
            at,
        )
        self.tell(not_yet(self._exercise.name, late))


if __name__ == "__main__":
    main(sys.argv[1:])
