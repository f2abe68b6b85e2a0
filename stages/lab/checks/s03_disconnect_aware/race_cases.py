"""The cases of a race: who is let go and in which order, what must come of it, and the rules."""

from dataclasses import dataclass

from stages.lab.exercises.attempt import show

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
