"""The cases of a write: what it does, who is cancelled meanwhile, and the rules."""

from dataclasses import dataclass
from typing import Literal

SHORT_S, LONG_S = 0.4, 60.0  # the limits: one that is reached, one that never is

ANYIO = "https://anyio.readthedocs.io/en/stable/cancellation.html"
PYTHON = "https://docs.python.org/3/library/asyncio-task.html"
DONE = "finish waits for the write, and says whether it is done. That is the exercise's own rule."
FAILS = "What ails the database costs a row, and never a stream. That is the exercise's own rule."
BOUND = (
    "A shield needs a bound: what hangs behind it could not be ended from outside any more "
    f"(anyio, Shielding: {ANYIO}#shielding)."
)
LEFT = (
    "When finish returns, nothing of it runs any more. asyncio.shield and asyncio.wait let go of "
    f"what they wait for, and do not end it (asyncio, Shielding: {PYTHON}"
    "#shielding-from-cancellation)."
)
LEVEL = (
    "In a scope that is cancelled every await is cancelled, unless it stands in a scope with "
    f"shield=True (anyio, Shielding: {ANYIO}#shielding)."
)
NATIVE = (
    "task.cancel() raises CancelledError at the next chance, in any scope: it knows of no shield "
    f"(asyncio, Task.cancel: {PYTHON}#asyncio.Task.cancel). A task of its own is not reached."
)
PASSED_ON = (
    "A CancelledError that was caught is passed on when the cleanup is complete "
    f"(asyncio, Task Cancellation: {PYTHON}#task-cancellation)."
)
RESTED = (
    "Wait once for the end of a task. In a loop that asks again and again, or that is cancelled "
    f"again and again in a cancelled scope, the event loop gets no rest (anyio: {ANYIO})."
)

Cancelled = Literal["", "the scope, before", "the scope", "the task", "the task, twice"]


@dataclass(frozen=True)
class Write:
    """A case of `finish`: what the write does, who is cancelled meanwhile, and what to expect."""

    does: Literal["takes 0.15 s", "fails", "hangs"]
    cancelled: Cancelled
    rule: str

    @property
    def limit_s(self) -> float:
        """What `finish` is given."""
        return SHORT_S if self.does == "hangs" else LONG_S

    @property
    def call(self) -> str:
        """How a message names the case."""
        meanwhile = f", cancelled: {self.cancelled}" if self.cancelled else ""
        return f"finish(write, {self.limit_s:g}), where write {self.does}{meanwhile}"

    @property
    def wanted(self) -> bool:
        """Whether the write can be done."""
        return self.does == "takes 0.15 s"

    @property
    def expected(self) -> str:
        """What a message says of a right answer."""
        told = f"{self.wanted}, {'when the write is done' if self.wanted else 'and no exception'}"
        if "task" in self.cancelled:
            return f"CancelledError, {'when the write is done' if self.wanted else 'at its limit'}"
        return f"{told}; the next await is cancelled" if self.cancelled else told


WRITES = (
    Write("takes 0.15 s", "", DONE),
    Write("fails", "", FAILS),
    Write("hangs", "", BOUND),
    Write("takes 0.15 s", "the scope", LEVEL),
    Write("takes 0.15 s", "the scope, before", LEVEL),
    Write("fails", "the scope", LEVEL),
    Write("hangs", "the scope", BOUND),
    Write("takes 0.15 s", "the task", NATIVE),
    Write("takes 0.15 s", "the task, twice", NATIVE),
    Write("hangs", "the task", BOUND),
)
