"""The exercise `race`: a call against a leave, and what a function makes of them when cancelled.

Each side notes its moments. Who is let go, and in which order, is a case; no clock is in it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from stages.lab.checks import turns
from stages.lab.checks.s03_disconnect_aware.race_cases import (
    AT_ONCE,
    CASES,
    ENDED,
    FIRST,
    IDLE,
    ITSELF,
    Case,
    Refused,
)
from stages.lab.exercises.attempt import calling, failed, now, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet


@dataclass(repr=False)
class Runner:
    """One side of the race. It waits until it is let go, and cleans up when it is cancelled."""

    name: str
    note: Callable[[str], None]
    result: object
    failure: Refused | None = None
    unclean: Refused | None = None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    cancelled: bool = False
    raised: Refused | None = None
    ended: bool = False

    def __repr__(self) -> str:
        return self.name

    async def run(self) -> object:
        """Be the coroutine function that the learner's code calls."""
        self.begun += 1
        self.note(f"{self.name} begins")
        try:
            await self.go.wait()
            if self.failure is not None:
                raise self._raised(self.failure)
            return self.result
        except asyncio.CancelledError:
            self.cancelled = True
            self.note(f"{self.name} is cancelled, and cleans up")
            with anyio.CancelScope(shield=True):  # as the SDK closes its connection
                await turns.clean_up()
            if self.unclean is not None:
                raise self._raised(self.unclean) from None
            raise
        finally:
            self.ended = True
            self.note(f"{self.name} has ended")

    def _raised(self, exc: Refused) -> Refused:
        self.raised = exc
        self.note(f"{self.name} raises {exc!r}")
        return exc


class Race:
    """One case as it runs, and what was seen of it."""

    def __init__(self, case: Case) -> None:
        self.case, self.moments = case, list[str]()
        note = self.moments.append
        self.call = Runner("call", note, case.result, case.failure, case.unclean)
        self.left = Runner("left", note, None)
        self.sides = {"call": self.call, "left": self.left}
        self.scope = anyio.CancelScope()
        self.called = f"await unless_left(call, left)    # {case.name}"
        self.value: object = None
        self.raised: BaseException | None = None
        self.still: list[str] = []
        self.strays = ""

    def not_yet(self, got: str, rule: str = "", expected: str = "") -> NotYet:
        """Return what does not hold, with the moments of this case."""
        expected, at = expected or self.case.expected, "\n".join(self.moments)
        return NotYet(self.called, got, expected, rule or self.case.rule, at)

    async def run(self, unless_left: Callable[..., Awaitable[Any]]) -> None:
        """Call the learner's function and look around the moment that it is over."""
        before = asyncio.all_tasks()
        with self.scope:
            try:
                self.value = await unless_left(self.call.run, self.left.run)
                self.moments.append(f"unless_left returns {show(self.value)}")
            except BaseException as exc:
                self.raised = exc
                self.moments.append(f"unless_left raises {type(exc).__name__}")
                raise
            finally:
                self.still = [side.name for side in self.sides.values() if not side.ended]
                self.strays = turns.strays(before)

    async def drive(self, task: "asyncio.Task[None]") -> None:
        """Let the sides go as the case says, once both have begun."""
        if not await turns.until(lambda: task.done() or self.begins()):
            late = "call" if not self.call.begun else "left"
            raise self.not_yet(f"{late} has not begun, and does not while the other waits", FIRST)
        for step in self.case.steps:
            match step:
                case "cancel":
                    self.moments.append("cancelled from outside")
                    task.cancel()
                case "scope":
                    self.moments.append("cancelled from outside")
                    self.scope.cancel()
                case "turn":
                    await turns.until(lambda: self.call.cancelled)
                case side:
                    self.moments.append(f"{side} can go on")
                    self.sides[side].go.set()

        def seen() -> bool:
            return all(side.cancelled or side.ended for side in self.sides.values())

        if not await turns.until(lambda: seen() or task.done()):
            unseen = next(side for side in self.sides.values() if not side.ended)
            got = f"{unseen.name} is not cancelled, {turns.TURNS} turns of the event loop later"
            raise self.not_yet(got, AT_ONCE)

    def begins(self) -> bool:
        """Return whether both have begun."""
        return bool(self.call.begun and self.left.begun)

    def judge(self) -> None:
        """Raise NotYet unless what came of it is right."""
        wanted = self.call.raised
        if isinstance(self.raised, BaseExceptionGroup) and wanted is not None:
            raise self.not_yet(f"{type(self.raised).__name__}: {self.raised}", ITSELF)
        if self.raised is not None and self.raised is not wanted and not self.was_cancelled():
            raise failed(self.raised)
        if wanted is not None and self.raised is not wanted:
            how = "CancelledError" if self.raised else show(self.value)
            raise self.not_yet(f"{how}: what call raised is lost")
        if self.raised is None and self.value not in self.case.results:
            lost = ": the cancellation is lost" if not self.case.results else ""
            raise self.not_yet(f"{show(self.value)}{lost}")
        if self.still:
            still = self.sides[self.still[0]]
            how = "was cancelled, and still cleans up" if still.cancelled else "still runs"
            raise self.not_yet(f"the end, but {still.name} {how}", ENDED)
        if self.strays:
            raise self.not_yet(f"the end, but {self.strays}", ENDED)
        for side in self.sides.values():
            if side.begun > 1:
                raise self.not_yet(f"{side.name} was called {side.begun} times", FIRST, "one call")

    def was_cancelled(self) -> bool:
        """Return whether it was cancelled from outside, and says so."""
        outer = {"cancel", "scope"} & set(self.case.steps)
        return bool(outer) and isinstance(self.raised, asyncio.CancelledError)


async def hold(unless_left: Any, case: Case, *, look: bool = False) -> None:
    """Run a case; raises NotYet. With `look`, see first whether anything computes meanwhile."""
    turns.keep_quiet()
    race = Race(case)
    with calling(race.called, case.expected, case.rule):
        task = asyncio.create_task(race.run(unless_left))
        if look and await turns.is_busy():
            raise race.not_yet("the event loop never rests while both wait", IDLE, "no CPU")
        await race.drive(task)
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen: `judge` has it from the race
        now.rule = case.rule
        race.judge()


async def judge_race(unless_left: Any) -> str:
    """Run every case, then look whether anything computes while both wait."""
    for case in CASES:
        await hold(unless_left, case)
    await hold(unless_left, CASES[0], look=True)
    return f"All {len(CASES)} races ended as they should, and nothing was left running."


race = Short(
    stem="s03_disconnect_aware",
    name="race",
    stub="unless_left",
    minutes=25,
    difficulty="hard",
    judge=judge_race,
    hints=(
        "Two coroutines run at the same time, so one of them at least needs a task. On each way "
        "out, a result, a leave, an exception, a cancellation: who cancels that task, and who "
        "awaits its end?",
        "A task group of anyio awaits its tasks on every way out. `group.cancel_scope.cancel()` "
        "cancels all in it, the call that you await in its body, too. What is raised in the body "
        "comes out in an ExceptionGroup, so catch it there and raise it behind the group.",
        "`async with anyio.create_task_group() as race:` and in it `race.start_soon(watch)`, where "
        "`watch` awaits `left()` and then cancels the scope. Below that "
        "`try: answer = await call()`, `except Exception as exc: failure = exc`, and then cancel "
        "the scope. Behind the group: raise the failure if there is one, else return the answer.",
    ),
    or_else="Right, too: two tasks and `asyncio.wait(..., return_when=FIRST_COMPLETED)`, with a "
    "`finally` that cancels both and awaits `asyncio.gather(..., return_exceptions=True)`. Then "
    "the result of the call, or None when it was cancelled.",
)
