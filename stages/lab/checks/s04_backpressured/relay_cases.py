"""The cases of a relay: what the upstream gives, what the consumer does, and the rules."""

from dataclasses import dataclass
from typing import Literal

QUEUE = "https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue"
TASKS = "https://docs.python.org/3/library/asyncio-task.html"
PEP_525 = "https://peps.python.org/pep-0525/#finalization"
PEP_789 = "https://peps.python.org/pep-0789/"
GENERATOR = "An `async def` with a `yield` in it is one: https://peps.python.org/pep-0525/"
BOTH_SIDES = (
    "`put` waits while the queue is full, so another task has to take from it, and another one to "
    f"fill it: {QUEUE}.put"
)
EMPTY = f"An empty text is a token like any other; only the end is the end: {QUEUE}.get"
AT_ONCE = f"A token goes on as soon as it is there, whatever comes behind it: {QUEUE}.get"
AHEAD = (
    "While the consumer is busy, `size` tokens wait in the queue, and one more may wait in the "
    f"hand of the producer, in `put`. Fewer is no queue, more is no bound: {QUEUE}"
)
IDLE = f"Who waits, waits in an `await` and computes nothing: {QUEUE}.get"
TOKENS_FIRST = (
    "An exception of the upstream comes out behind the tokens that came before it, and as itself. "
    f"A task group wraps it, and cancels at once: {TASKS}#task-groups"
)
NOT_OURS = (
    "A generator that is suspended at a `yield` does not own the task that it runs in: a task "
    f"group or a cancel scope around a `yield` cancels the consumer: {PEP_789}"
)
CLOSE = f"`aclose()` raises GeneratorExit at the `yield`, and it ends without an error: {PEP_525}"
NO_STRAY = (
    "The producer has ended when the generator has, on every way out: cancel it in a `finally`, "
    f"and await it: {TASKS}#asyncio.Task.cancel"
)
NOBODY_TAKES = (
    "When the generator closes, nobody takes from the queue any more: a `put` in the `finally` of "
    f"the producer waits for ever: {QUEUE}.put"
)
CLOSED = (
    "Whoever reads an async generator closes it. A producer that is cancelled in `put` leaves it "
    f"suspended, until the garbage collector comes: {PEP_525}"
)
OUTER = f"Clean up, then let CancelledError out: {TASKS}#task-cancellation"
LEVEL = (
    "Starlette cancels by a cancel scope, which cancels every further `await` as well: "
    "https://anyio.readthedocs.io/en/stable/cancellation.html"
)
ELSEWHERE = (
    "Who closes a generator need not be who has read it: `wait_for` up to Python 3.11 and the "
    f"event loop's own hook use another task, and a task group must end in its own: {PEP_789}"
)

End = Literal["ends", "raises", "is silent"]


@dataclass(frozen=True)
class Case:
    """What the upstream gives, how that ends, and what the consumer does: steps, in order.

    A number takes so many tokens, `all` takes what is left, up to the end.
    """

    name: str
    tokens: str  # one for each character, `-` for an empty one
    end: End
    size: int
    steps: tuple[int | str, ...]
    rule: str
    expected: str


LONG = "abcdefghijklmnopqrst"
NOTHING_LEFT = "the generator ends; the producer and the upstream have ended, too"
CANCELLED = "CancelledError; the producer and the upstream have ended"
CASES = (
    Case("a token more than the size", "abc", "ends", 2, ("all",), BOTH_SIDES, "all 3 tokens"),
    Case("many tokens", LONG, "ends", 2, ("all",), BOTH_SIDES, "all 20 tokens, in order"),
    Case("an empty token", "a-b", "ends", 2, ("all",), EMPTY, "'a', '' and 'b'"),
    Case("no token", "", "ends", 2, ("all",), EMPTY, "no token, and the end"),
    Case("a busy consumer", LONG, "ends", 1, (1, "busy", "all"), AHEAD, "2 or 3 tokens read"),
    Case("a busy consumer", LONG, "ends", 4, (3, "busy", "all"), AHEAD, "7 or 8 tokens read"),
    Case(
        "a failure", "ab", "raises", 4, ("all",), TOKENS_FIRST, "'a', 'b', then BrokeOff, as itself"
    ),
    Case(
        "a failure while the consumer is busy",
        "abc",
        "raises",
        4,
        (1, "busy", "all"),
        TOKENS_FIRST,
        "'a', 'b', 'c', then BrokeOff, as itself",
    ),
    Case(
        "closed in a silence behind the first token",
        "a",
        "is silent",
        2,
        (1, "busy", "close"),
        AT_ONCE,
        f"'a', at once; then {NOTHING_LEFT}",
    ),
    Case("closed with a full queue", LONG, "ends", 2, (1, "busy", "close"), CLOSED, NOTHING_LEFT),
    Case("cancelled in a silence", "a", "is silent", 2, (1, "cancel"), OUTER, CANCELLED),
    Case("cancelled by a cancel scope", "a", "is silent", 2, (1, "scope"), LEVEL, CANCELLED),
    Case(
        "closed by another task", LONG, "ends", 2, (1, "busy", "elsewhere"), ELSEWHERE, NOTHING_LEFT
    ),
)
