"""Races: a call against a leave, and what a function makes of them under real cancellation.

Each side notes its moments. Who is let go, and in which order, is a case; no clock is in it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from stages.lab.checks import turns
from stages.lab.exercises.attempt import calling, failed, now, show
from stages.lab.exercises.outcome import NotYet

TASKS = "https://docs.python.org/3/library/asyncio-task.html"
ASKED = "Whoever asks, asks once, and both at the same time. What waits for its turn sees nothing: "
FIRST = f"{ASKED}{TASKS}#asyncio.create_task"
AT_ONCE = (
    "The loser is cancelled as soon as the winner is there. A poll sees it at its next look, and "
    f"pays until then: {TASKS}#asyncio.Task.cancel"
)
ENDED = (
    "`cancel()` only asks. The loser has ended when its own cleanup has, so it has to be awaited: "
    f"{TASKS}#asyncio.Task.cancel"
)
ITSELF = (
    "What `call` raises comes out as itself: a task group wraps what its tasks raise, and no "
    f"`except` or exception handler for the exception finds it: {TASKS}#task-groups"
)
NOT_LOST = (
    "An exception that was raised comes out, also when the client left in the same moment. "
    "Errors should never pass silently: https://peps.python.org/pep-0020/"
)
OUTER = (
    "A cancellation from outside is not ours to catch: clean up, then let CancelledError out: "
    f"{TASKS}#task-cancellation"
)
LEVEL = (
    "Starlette cancels by a cancel scope, which cancels every further `await` as well. Both have "
    "ended all the same: https://anyio.readthedocs.io/en/stable/cancellation.html"
)
IDLE = f"Who waits, waits in an `await` and computes nothing: {TASKS}#asyncio.wait"


class Refused(Exception):
    """What a call raises in a case."""


@dataclass(frozen=True)
class Case:
    """What happens: who is let go and in which order, what call does then, what must come of it."""

    name: str
    steps: tuple[str, ...]  # "call", "left": let it go. "cancel", "scope": cancel from outside.
    results: tuple[object, ...]
    rule: str
    result: object = "the answer"
    failure: Refused | None = None
    unclean: Refused | None = None  # what the cleanup of call raises

    @property
    def expected(self) -> str:
        """What must come of it, in words."""
        if self.failure or self.unclean:
            return f"{self.failure or self.unclean!r} as itself; both have ended"
        if not self.results:
            return "CancelledError; both have ended"
        return f"{' or '.join(map(show, self.results))}; both have ended"


GONE, BROKEN = Refused("429"), Refused("the close failed")
CASES = (
    Case("call returns", ("call",), ("the answer",), FIRST),
    Case("call returns an empty text", ("call",), ("",), FIRST, result=""),
    Case("left returns", ("left",), (None,), ENDED),
    Case("call raises", ("call",), (), ITSELF, failure=GONE),
    Case("left returns, the cleanup of call raises", ("left",), (), NOT_LOST, unclean=BROKEN),
    Case("cancelled from outside", ("cancel",), (), OUTER),
    Case("both return, call first", ("call", "left"), ("the answer", None), NOT_LOST),
    Case("both return, left first", ("left", "call"), ("the answer", None), NOT_LOST),
    Case("call raises as left returns", ("call", "left"), (), NOT_LOST, failure=GONE),
    Case("left returns as call raises", ("left", "call"), (None,), NOT_LOST, failure=GONE),
    Case("left returns, then cancelled from outside", ("left", "turn", "cancel"), (), OUTER),
    Case("cancelled by a cancel scope", ("scope",), (), LEVEL),
)


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
