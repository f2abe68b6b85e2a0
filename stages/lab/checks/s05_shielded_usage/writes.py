"""Writes under cancellation: one call of `finish` each, and what became of the write."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any

import anyio

from stages.lab.checks.s05_shielded_usage.write_cases import BOUND, DONE, LEFT, PASSED_ON, Write
from stages.lab.exercises.attempt import calling, standing
from stages.lab.exercises.outcome import NotYet

PATIENCE_S = 3.0  # ten times what the longest case takes
STEP_S = 0.05  # a write has three steps, a cleanup two: connect, execute, commit


class Trial:
    """One call of `finish`, cancelled as the case says, and the moments of it in order."""

    def __init__(self, case: Write) -> None:
        self.case, self.scope = case, anyio.CancelScope()
        self.moments: list[str] = []
        self.steps = [asyncio.Event(), asyncio.Event()]
        self.state = self.left = "never began"  # the write, at the end and as finish left it
        self.got = ""
        self.found: NotYet | None = None

    async def write(self) -> None:
        """Do what the write of the case does."""
        self.note("the write begins", "still runs")
        try:
            for step in (*self.steps, asyncio.Event()):
                await asyncio.sleep(STEP_S)
                step.set()
                if self.case.does == "fails" and step is self.steps[1]:  # after the cancellation
                    raise ConnectionError("the database is gone")
            if self.case.does == "hangs":
                await asyncio.Event().wait()
        except BaseException as exc:
            self.note(f"the write is ended by {type(exc).__name__}", "was cut")
            raise
        self.note("the write is done", "is done")

    async def run(self, finish: Any) -> None:
        """Have `finish` called in a task of its own, and cancel it; raises NotYet."""
        others = asyncio.all_tasks()
        task = asyncio.create_task(self._around(finish))
        for step in self.steps[: 1 + self.case.cancelled.endswith("twice")]:
            await _either(task, step.wait())
            if not task.done() and "before" not in self.case.cancelled:
                self._cancel(task)
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done():
            at = standing(None, asyncio.get_running_loop())
            got = f"nothing, {PATIENCE_S:g} s later: finish waits"
            raise self.not_yet(got, at, within_s=PATIENCE_S)
        if self.found is not None:
            raise self.found
        self._judge(asyncio.all_tasks() - others)

    async def _around(self, finish: Any) -> None:
        with self.scope, suppress(NotYet):
            if "before" in self.case.cancelled:
                self._cancel(None)
            try:
                with calling(self.case.call, self.case.expected, self.case.rule):
                    self.note(f"finish returns {await finish(self.write, self.case.limit_s)!r:.60}")
            except NotYet as found:
                self.found = found
                raise
            except asyncio.CancelledError:
                self.note("finish raises CancelledError")
                return
            finally:
                self.got, self.left = self.moments[-1] if self.moments else "", self.state
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.note("the next await is cancelled")
                return
            self.note("the next await is not cancelled")

    def _cancel(self, task: asyncio.Task[None] | None) -> None:
        who = self.case.cancelled.partition(",")[0]
        if who:
            self.note(f"{who} is cancelled here")
        if who == "the scope":
            self.scope.cancel()
        elif who and task is not None:
            task.cancel()

    def _judge(self, left: set[asyncio.Task[Any]]) -> None:
        case, raised = self.case, "raises" in self.got
        if self.left in ("never began", "still runs"):
            rule = LEFT if case.rule == BOUND else ""
            raise self.not_yet(f"{self.got}, and the write {self.left}", rule=rule)
        if case.wanted and self.left == "was cut":
            raise self.not_yet(f"{self.got}, and the write was cut")
        if raised and "task" not in case.cancelled:
            raise self.not_yet(f"{self.got}; what stands behind it would not run")
        if not raised and self.got != f"finish returns {case.wanted}":
            raise self.not_yet(self.got)
        was_cancelled = any("cancelled here" in moment for moment in self.moments)
        if was_cancelled and "not" in self.moments[-1]:
            raise self.not_yet("the cancellation is swallowed", rule=PASSED_ON)
        if self.moments.count("the write begins") > 1:
            raise self.not_yet("the write was begun more than once", rule=DONE)
        if left:
            raise self.not_yet(f"{self.got}, and a task that finish made still runs", rule=LEFT)

    def note(self, moment: str, state: str = "") -> None:
        """Remember a moment, and what it means for the write."""
        self.moments.append(moment)
        self.state = state or self.state

    def not_yet(
        self, got: str, at: str = "", rule: str = "", within_s: float | None = None
    ) -> NotYet:
        """Return what to say of this trial."""
        lines = "\n".join([*self.moments, *filter(None, [at])])
        rule = rule or self.case.rule
        return NotYet(self.case.call, got, self.case.expected, rule, lines, within_s)


async def _either(task: asyncio.Task[None], other: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of the two is there."""
    waiting = asyncio.ensure_future(other)
    await asyncio.wait({task, waiting}, timeout=PATIENCE_S, return_when="FIRST_COMPLETED")
    waiting.cancel()
    await asyncio.wait({waiting})


class Counted:
    """An awaitable that counts how often the one inside it is woken up."""

    def __init__(self, inside: Any) -> None:
        self.inside, self.wake_ups = inside, 0

    def __await__(self) -> Generator[Any, None, Any]:
        steps = self.inside.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                waits_for = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            self.wake_ups += 1
            try:
                yield waits_for
            except BaseException as exc:
                thrown = exc
            else:
                thrown = None
