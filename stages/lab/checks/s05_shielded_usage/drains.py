"""Drains at shutdown: the cases of the exercise `drained_shutdown` of s05."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

from stages.lab.exercises.attempt import calling, show, standing
from stages.lab.exercises.outcome import NotYet

PATIENCE_S = 3.0  # ten times what the longest case takes
STEP_S = 0.05
SHORT_S, LONG_S = 0.4, 60.0  # the limits: one that is reached, one that never is
TURNS = 5  # of the event loop, until a drain that waits does wait

PYTHON = "https://docs.python.org/3/library/asyncio-task.html"
WAIT = f"{PYTHON}#asyncio.wait"
ENDS = "A drain waits until its tasks have ended, and not a moment longer: that is its own rule."
COUNT = "A task that ends before the limit is finished, however it ends: the exercise's own rule."
LATE = "A task that still runs at the limit counts as cancelled, however it ends: its own rule."
SET = f"asyncio.wait refuses a set without tasks (asyncio, Waiting Primitives: {WAIT})."
COPY = (
    "A set must not change while it is iterated, and a task that is done leaves this one: iterate "
    "a copy (Python, set: https://docs.python.org/3/library/stdtypes.html#set)."
)
TIME = (
    "The limit is one for all tasks together: asyncio.wait takes it as its timeout, and cancels "
    f"nothing then (asyncio, Waiting Primitives: {WAIT})."
)
ASKED = (
    "cancel() only asks: the task ends later, when it has tidied up. Await it "
    f"(asyncio, Task.cancel: {PYTHON}#asyncio.Task.cancel)."
)
RETRIEVED = (
    "What a task raised and nobody fetched is logged when the task is collected. Ask each task "
    "for its exception, or gather them with return_exceptions=True (asyncio, Detect never "
    "retrieved exceptions: "
    "https://docs.python.org/3/library/asyncio-dev.html#detect-never-retrieved-exceptions)."
)
SECOND = (
    "A CancelledError is passed on when the cleanup is complete, and the cleanup of a drain is to "
    f"cancel its tasks (asyncio, Task Cancellation: {PYTHON}#task-cancellation)."
)


@dataclass(frozen=True)
class Drain:
    """A case of `drain`: what its tasks do, and the counts to expect."""

    tasks: tuple[str, ...]
    wanted: tuple[int, int]
    rule: str
    limit_s: float = LONG_S
    leave: bool = False  # a done callback takes each out of the set
    second: bool = False  # the drain is cancelled while it waits

    @property
    def call(self) -> str:
        """How a message names the case."""
        alike = len(set(self.tasks)) == 1 < len(self.tasks)
        told = f"{len(self.tasks)} × {self.tasks[0]}" if alike else ", ".join(self.tasks)
        who = " which leave the set" if self.leave else ""
        more = ", and drain is cancelled" if self.second else ""
        return f"drain({{{told}}}{who}, {self.limit_s:g}){more}"

    @property
    def expected(self) -> str:
        """What a message says of a right answer."""
        if self.second:
            return "CancelledError, and the tasks cancelled"
        return f"{self.wanted}, every task ended, no exception"


DRAINS = (
    Drain(("quick", "slow"), (2, 0), ENDS),
    Drain((), (0, 0), SET),
    Drain(("fails", "slow"), (2, 0), COUNT),
    Drain(("quick", "fails", "slow"), (3, 0), COPY, leave=True),
    Drain(("quick", "hangs"), (1, 1), TIME, SHORT_S),
    Drain(("quick", "tidies up"), (1, 1), ASKED, SHORT_S),
    Drain(("hangs",) * 20, (0, 20), TIME, SHORT_S),
    Drain(("quick", "tidies up", "fails", "hangs"), (2, 2), COPY, SHORT_S, leave=True),
    Drain(("tidies up and returns", "tidies up and fails"), (0, 2), LATE, SHORT_S),
    Drain(("hangs", "tidies up"), (0, 0), SECOND, second=True),
)


@dataclass
class Drained:
    """One call of `drain`, and the moments of it in order."""

    case: Drain
    moments: list[str] = field(default_factory=list)
    running: int = 0

    async def run(self, drain: Any) -> None:
        """Have `drain` called with the tasks of the case, and judge what has become of them."""
        lost: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, said: lost.append(said["message"]))
        await self._drained(drain)
        gc.collect()  # the tasks are gone now: those that nobody asked say so
        if any("never retrieved" in message for message in lost):
            raise self.not_yet("the exception of a task was never retrieved", rule=RETRIEVED)

    async def _drained(self, drain: Any) -> None:
        tasks = {asyncio.create_task(self._task(does)) for does in self.case.tasks}
        kept = list(tasks)  # the set may be empty afterwards
        for task in kept if self.case.leave else ():
            task.add_done_callback(tasks.discard)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        draining = asyncio.create_task(self._call(drain, tasks))
        if self.case.second:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            self.moments.append("drain is cancelled here")
            draining.cancel()
        await asyncio.wait({draining}, timeout=PATIENCE_S)
        if not draining.done():
            at = standing(None, asyncio.get_running_loop())
            got = f"nothing, {PATIENCE_S:g} s later: drain waits"
            raise self.not_yet(got, at, within_s=PATIENCE_S)
        within_s = None
        if self.case.second:
            await asyncio.wait(kept, timeout=PATIENCE_S)
            # One that was cancelled tidies up, which takes time. One that was not goes on for ever.
            asked = all(task.done() or task.cancelling() for task in kept)
            within_s = PATIENCE_S if asked else None
        self._judge(draining, within_s)

    def _judge(self, draining: asyncio.Task[Any], within_s: float | None) -> None:
        if draining.cancelled() and not self.case.second:
            raise self.not_yet("drain raises CancelledError")
        if not draining.cancelled() and (found := draining.exception()) is not None:
            raise found
        if self.running:
            still = "1 task still runs" if self.running == 1 else f"{self.running} tasks still run"
            raise self.not_yet(f"{self._said()}, and {still}", within_s=within_s)
        if self.case.second:
            if not draining.cancelled():
                raise self.not_yet("the cancellation is swallowed")
            return
        if (cut := self._cut()) is not None:
            raise self.not_yet(f"the task that {cut} was cancelled before the limit")
        if draining.result() != self.case.wanted:
            raise self.not_yet(self._said())

    def _said(self) -> str:
        return next(moment for moment in self.moments if moment.startswith("drain r"))

    def _cut(self) -> str | None:
        """Return which task was cancelled that would have ended in time."""
        own = [does for does in ("quick", "slow", "fails") if does in self.case.tasks]
        return next((does for does in own if f"{does}: is cancelled" in self.moments), None)

    async def _call(self, drain: Any, tasks: set[asyncio.Task[None]]) -> Any:
        with calling(self.case.call, self.case.expected, self.case.rule):
            try:
                got = await drain(tasks, self.case.limit_s)
            except asyncio.CancelledError:
                self.moments.append("drain raises CancelledError")
                raise
        self.moments.append(f"drain returns {show(got)}")
        return got

    async def _task(self, does: str) -> None:
        self.running += 1
        try:
            await self._work(does)
        except asyncio.CancelledError:
            self.moments.append(f"{does}: is cancelled")
            if "tidies" in does:
                await asyncio.sleep(2 * STEP_S)
            if does.endswith("fails"):
                raise ConnectionError("the database is gone") from None
            if not does.endswith("returns"):
                raise
        finally:
            self.moments.append(f"{does}: has ended")
            self.running -= 1

    async def _work(self, does: str) -> None:
        if does not in ("quick", "slow", "fails"):
            await asyncio.Event().wait()
        await asyncio.sleep(2 * STEP_S if does == "slow" else STEP_S)
        if does == "fails":
            raise ConnectionError("the client is gone")

    def not_yet(
        self, got: str, at: str = "", rule: str = "", within_s: float | None = None
    ) -> NotYet:
        """Return what to say of this case."""
        shown = [*self.moments[:12], *(["…"] if len(self.moments) > 12 else []), at]
        lines = "\n".join(filter(None, shown))
        rule = rule or self.case.rule
        return NotYet(self.case.call, got, self.case.expected, rule, lines, within_s)
