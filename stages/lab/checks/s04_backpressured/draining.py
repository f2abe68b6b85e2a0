"""The exercise `draining`: what it returns, how it waits, and what a cancellation takes with it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from stages.lab.checks import turns
from stages.lab.exercises.attempt import calling, now, show, standing
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet

QUEUE = "https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue"
JOINED = (
    f"All that is there becomes one text; `get_nowait` takes it without a wait: {QUEUE}.get_nowait"
)
END = (
    f"None is the one item that says the end. Who takes it and does not tell, loses it: {QUEUE}.get"
)
EMPTY = f"An empty text is an item like any other; only None is the end: {QUEUE}.get"
BEHIND = f"What stands behind None is not ours: leave it in the queue: {QUEUE}.get_nowait"
WAITS = f"`get` waits for the first item, at no cost; `empty` and `get_nowait` do not: {QUEUE}.get"
AT_ONCE = (
    "Behind the first item nothing is waited for: a client that keeps up gets each token as it "
    f"comes: {QUEUE}.get_nowait"
)
NOT_LOST = (
    "A `get` that is cancelled leaves the queue as it was. An item that is taken already, or a "
    f"getter in a task of its own that nobody ends, is lost with the cancellation: {QUEUE}.get"
)
# How many turns of the event loop lie between an item and a cancellation.
LATER = ("in the same turn", "one turn later", "two turns later", "three turns later")


@dataclass(frozen=True)
class Case:
    """What is in the queue, what `drain` must return, and what must still be there."""

    name: str
    items: tuple[str | None, ...]
    returns: tuple[str, bool]
    rule: str
    left: tuple[str | None, ...] = ()


QUEUES = (
    Case("one item", ("a",), ("a", False), JOINED),
    Case("three items", ("a", "b", "c"), ("abc", False), JOINED),
    Case("the end behind the text", ("a", "b", None), ("ab", True), END),
    Case("nothing but the end", (None,), ("", True), END),
    Case("an empty text in between", ("a", "", "b"), ("ab", False), EMPTY),
    Case("an empty text at first", ("", "a", None), ("a", True), EMPTY),
    Case("nothing but an empty text", ("",), ("", False), EMPTY),
    Case("items behind the end", ("a", None, "b", None), ("a", True), BEHIND, ("b", None)),
)


async def judge_drain(drain: Any) -> str:
    """Look at what it returns, then at how it waits, then at what a cancellation takes with it."""
    for case in QUEUES:
        await _returns(drain, case)
    await _waits(drain)
    await _is_cancelled(drain)
    for after in range(len(LATER)):
        await _is_cancelled_late(drain, after)
    await _a_producer_beside(drain)
    return f"All {len(QUEUES)} queues became one text each, and no cancellation lost an item."


async def _returns(drain: Any, case: Case) -> None:
    call = f"drain(queue of {show(list(case.items))})    # {case.name}"
    expected = show(case.returns) + (f"; still there: {list(case.left)}" if case.left else "")
    with calling(call, expected, case.rule):
        queue = _queue(*case.items)
        got = await _now(drain, queue)
        if got != case.returns:
            raise _not_yet(show(got))
        left = tuple(queue.get_nowait() for _ in range(queue.qsize()))
        if left != case.left:
            raise _not_yet(f"{show(got)}; still there: {list(left)}")


async def _waits(drain: Any) -> None:
    with calling("drain(empty queue)", "it waits, until there is an item", WAITS):
        task = asyncio.create_task(drain(_queue()))
        await turns.settle()
        if task.done():
            raise _not_yet(f"{show(task.result())}, at once")
        if await turns.is_busy():
            raise _not_yet("the event loop never rests while the queue is empty")
        task.cancel()
    with calling("drain(empty queue), then 'a' is put", "('a', False), at once", WAITS):
        queue = _queue()  # a new one: what polls has just begun to sleep
        task = asyncio.create_task(drain(queue))
        await turns.settle()
        queue.put_nowait("a")
        if (got := await _ended(task)) != ("a", False):
            raise _not_yet(show(got))


async def _is_cancelled(drain: Any) -> None:
    call = "drain(empty queue), cancelled; then 'a' and 'b' are put, and drain(queue) again"
    with calling(call, "CancelledError, then ('ab', False)", NOT_LOST):
        queue = _queue()
        task = asyncio.create_task(drain(queue))
        await turns.settle()
        task.cancel()
        await _over(task)
        if not task.cancelled():
            raise _not_yet(f"{show(task.result())}: the cancellation is lost")
        for item in ("a", "b"):
            queue.put_nowait(item)
            await turns.settle()
        if (got := await _now(drain, queue)) != ("ab", False):
            raise _not_yet(f"CancelledError, then {show(got)}")


async def _is_cancelled_late(drain: Any, after: int) -> None:
    call = f"drain(empty queue), 'a' is put, and it is cancelled {LATER[after]}"
    with calling(call, "('a', False), or CancelledError and 'a' in the queue", NOT_LOST):
        queue = _queue()
        task = asyncio.create_task(drain(queue))
        await turns.settle()
        queue.put_nowait("a")
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await _over(task)
        if not task.cancelled() and task.result() != ("a", False):
            raise _not_yet(show(task.result()))
        if task.cancelled() and queue.empty():
            raise _not_yet("CancelledError, and the queue is empty: 'a' is lost")


async def _a_producer_beside(drain: Any) -> None:
    """Drain a small queue to its end, while a producer waits for room in it."""
    items = ["a", "", "b", "c", "d", None]
    call = "drain(queue) to the end, beside a producer that waits for room: Queue(2)"
    with calling(call, "'abcd' in all", JOINED):
        queue = asyncio.Queue[str | None](2)

        async def produce() -> None:
            for item in items:
                await queue.put(item)

        producer = asyncio.create_task(produce())
        text, ended = "", False
        while not ended:
            more, ended = await _now(drain, queue)
            text += more
        await producer
        if text != "abcd":
            raise _not_yet(show(text))


def _queue(*items: str | None) -> asyncio.Queue[str | None]:
    queue = asyncio.Queue[str | None]()
    for item in items:
        queue.put_nowait(item)
    return queue


async def _now(drain: Any, queue: asyncio.Queue[str | None]) -> Any:
    """Return what it returns at once; raises NotYet when it waits."""
    return await _ended(asyncio.create_task(drain(queue)))


async def _ended(task: "asyncio.Task[Any]") -> Any:
    await _over(task)
    return task.result()


async def _over(task: "asyncio.Task[Any]") -> None:
    if not await turns.until(task.done):
        now.rule = now.rule if now.rule in (NOT_LOST, WAITS) else AT_ONCE
        line = standing(None, asyncio.get_running_loop())
        raise _not_yet(f"nothing, {turns.TURNS} turns of the event loop later", line)


def _not_yet(got: str, at: str = "") -> NotYet:
    return NotYet(now.call, got, now.expected, now.rule, at)


draining = Short(
    stem="s04_backpressured",
    name="draining",
    stub="drain",
    minutes=15,
    difficulty="medium",
    judge=judge_drain,
    hints=(
        "Two things differ: the first item may be waited for, all others must not be. And two ends "
        "differ: there is nothing more now, and there will never be more.",
        "`await queue.get()` for the first item. Then `queue.get_nowait()`, which raises "
        "`asyncio.QueueEmpty` when there is nothing now. Compare with `is None`: an empty text is "
        "false as well.",
        "`item = await queue.get()`, and then `while item is not None:` append it to a list, leave "
        "the loop if `queue.empty()`, and otherwise `item = queue.get_nowait()`. Behind the loop "
        "the last item says whether the end was met: `''.join(texts), item is None`.",
    ),
    or_else="Right, too: `except asyncio.QueueEmpty` around `get_nowait()` in place of the look at "
    "`empty()`. Between the two there is no `await`, so nobody else can take the item.",
)
