"""Gauges with an owner: the cases of the exercise `gauge_owner` of s06."""

from dataclasses import dataclass
from typing import Literal, get_args

LIMIT = 3
STORM = 200  # streams, at most LIMIT at a time, each ended at a random moment

METRICS = "https://prometheus.io/docs/concepts/metric_types/#gauge"
CONTEXT = "https://docs.python.org/3/reference/datamodel.html#asynchronous-context-managers"
CANCEL = "https://anyio.readthedocs.io/en/stable/cancellation.html#finalization"
OWN = "Each Streams has slots of its own: what stands in the class is shared by all its objects."
WHEN = (
    "A gauge says what is now: it is up by one for each stream from its admission to its end, and "
    f"not for the time of a call (Prometheus, Gauge: {METRICS})."
)
EVERY = (
    "What stands behind a body in which something is raised does not run, unless it stands in a "
    "finally (Python, try: https://docs.python.org/3/reference/compound_stmts.html#try)."
)
OUT = (
    "What the body of an async with raises goes on, unless __aexit__ returns true "
    f"(Python, Asynchronous Context Managers: {CONTEXT})."
)
REFUSED = (
    "Who is refused has no slot and is no stream: raise anyio.WouldBlock before anything is "
    "counted, and give nothing back. Semaphore.acquire_nowait raises it "
    "(anyio: https://anyio.readthedocs.io/en/stable/synchronization.html#semaphores)."
)
ENTER = (
    "Between the count and its try there must be no await: a cancellation that comes there leaves "
    f"the count behind (anyio, Finalization: {CANCEL})."
)
BACK = "A slot that is not given back is one stream less for ever: whoever counts gives back, too."
TWICE = (
    "One inc has one dec: a finally runs behind an except, too "
    "(Python, try: https://docs.python.org/3/reference/compound_stmts.html#try)."
)
LEAVE = (
    "In a cancelled scope the first await of a finally raises, and what stands behind it does not "
    f"run: count first, then await (anyio, Finalization: {CANCEL})."
)


StreamEnd = Literal[
    "comes to its end", "fails", "is cancelled: its task", "is cancelled: its scope"
]
STREAM_ENDS: tuple[StreamEnd, ...] = get_args(StreamEnd)


@dataclass(frozen=True)
class Case:
    """So many streams, what becomes of each, and the rule which says what the gauge does then."""

    count: int
    ends: StreamEnd
    rule: str
    more: str = ""
    expected: str = "a gauge that says how many run, and what is raised goes on"

    @property
    def call(self) -> str:
        """How a message names the case."""
        told = f"a stream {self.ends}" if self.count == 1 else f"each of {self.count} {self.ends}"
        return f"async with Streams(gauge, {LIMIT}).admitted(): {told}{self.more}"


CASES = (
    Case(1, "comes to its end", WHEN, "", "an async with, and a gauge that says 1 in its body"),
    Case(LIMIT, "comes to its end", WHEN),
    Case(
        LIMIT,
        "comes to its end",
        REFUSED,
        ", and two more are refused",
        "anyio.WouldBlock for both, and a gauge that stays where it is",
    ),
    Case(LIMIT, "fails", EVERY),
    Case(LIMIT, "is cancelled: its task", EVERY),
    Case(LIMIT, "is cancelled: its scope", LEAVE),
    Case(1, "is cancelled: its task", ENTER, ", while it enters"),
    Case(1, "is cancelled: its scope", ENTER, ", while it enters"),
)
BESIDE = Case(LIMIT, "comes to its end", OWN, ", beside another Streams that is full")
STORMY = Case(STORM, "comes to its end", EVERY, " in some way, at some moment")
