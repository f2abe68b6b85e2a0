"""The exercises of s05."""

from typing import Any

from stages.lab.checks.s05_shielded_usage.drains import DRAINS, Drained
from stages.lab.checks.s05_shielded_usage.writes import RESTED, WAKE_UPS, WRITES, Counted, Trial
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Short

FINISH = """The shape, with `writing` as the task:

    with anyio.CancelScope(shield=True):
        while not writing.done():
            try:
                await asyncio.wait({writing})
            except asyncio.CancelledError as exc:
                cancelled = exc
    # then raise what was caught, or return the result of the task"""

DRAIN = """The shape:

    waiting = set(tasks)
    try:
        done, left = await asyncio.wait(waiting, timeout=limit_s)
    finally:
        ...  # cancel each of waiting: it does nothing to one that is done
    # then gather all of them, and count; and what does a wait say of an empty set?"""

BUILD = """The shape:

    # opened
    slots.acquire_nowait()
    try:
        await record.admit()  # INSERT, with status 'streaming'
        ...  # as before, and a task beside read that waits for the shutdown_event
    except asyncio.CancelledError:
        record.outcome = "server_stopped"
        raise
    finally:
        try:
            await record.finish()  # UPDATE, bounded, and awaited to its end, as in the exercise
        finally:
            slots.release()

    # lifespan, behind its yield
    with anyio.move_on_after(DRAIN_S):
        ...  # take every slot: each comes back when its row is final"""


async def judge_finish(finish: Any) -> str:
    """Cancel in all ways what awaits `finish`, and see what becomes of the write."""
    for case in WRITES:
        await Trial(case).run(finish)
    counted: list[Counted] = []

    async def counting(write: Any, limit_s: float) -> Any:
        counted.append(Counted(finish(write, limit_s)))
        return await counted[0]

    trial = Trial(next(case for case in WRITES if case.cancelled == "the scope"))
    await trial.run(counting)
    if counted[0].wake_ups > WAKE_UPS:
        got = f"finish was woken up more than {WAKE_UPS} times while it waited for one write"
        raise trial.not_yet(got, rule=RESTED)
    return f"All {len(WRITES)} cases hold, and finish rests while it waits."


async def judge_drain(drain: Any) -> str:
    """Hand over tasks of all kinds, and see what has become of them when `drain` is over."""
    for case in DRAINS:
        await Drained(case).run(drain)
    tasks = sum(len(case.tasks) for case in DRAINS)
    return f"All {len(DRAINS)} cases hold, with {tasks} tasks."


finished_write = Short(
    stem="s05_shielded_usage",
    name="finished_write",
    answer="finish",
    minutes=25,
    difficulty="hard",
    judge=judge_finish,
    hints=(
        "There are two kinds of cancellation, and one mechanism holds only one of them. Look at "
        "the table of part 4: which ways have a yes for the row, and who could wait for it there?",
        "Let the write run in a task of its own, `asyncio.create_task`, with `asyncio.timeout` "
        "inside it. Wait for it with `asyncio.wait`, which does not cancel what it waits for, in "
        "`anyio.CancelScope(shield=True)`. `task.cancel()` still gets in, once for each call.",
        FINISH,
    ),
    or_else=(
        "`asyncio.shield(task)` in place of `asyncio.wait` is right, too, and so is "
        "`anyio.fail_after` in place of `asyncio.timeout`. Against a cancelled scope alone, "
        "`with anyio.fail_after(limit_s, shield=True): await write()` would do; a `task.cancel()` "
        "in the middle of the write would cost the row. Stage 5 waits as we do: its `shielded` "
        "calls itself where this loop turns."
    ),
)

drained_shutdown = Short(
    stem="s05_shielded_usage",
    name="drained_shutdown",
    answer="drain",
    minutes=20,
    difficulty="medium",
    judge=judge_drain,
    hints=(
        "Three steps: wait for all of them with one limit, cancel those that are left, and wait "
        "again until these have ended. What does each step do when the set gets smaller meanwhile?",
        "`asyncio.wait(tasks, timeout=…)` returns two sets, raises nothing of the tasks, cancels "
        "none. `asyncio.gather(*tasks, return_exceptions=True)` waits for tasks that were "
        "cancelled, too, and fetches what they raise. A `finally` also sees a second signal.",
        DRAIN,
    ),
    or_else=(
        "A second `asyncio.wait` in place of the `gather` is right, too, when each task is asked "
        "for its `exception()` afterwards, unless it was cancelled."
    ),
)

build = Build(
    number=5,
    minutes=90,
    difficulty="hard",
    hints=(
        "Look at where `slots.release()` stands: in `opened`, the dependency. There every stream "
        "comes by once, on every path, when its outcome is known, and nothing is cancelled. The "
        "row begins where the slot is taken, and ends where it is given back.",
        "SQLAlchemy: `create_async_engine(DATABASE_URL)` and `async with engine.begin() as "
        "connection` for each statement, never for a stream. anyio: `fail_after(WRITE_S)` around "
        "it, and `except Exception` around that. Wait for it as `finish` in the first exercise "
        "does: uvicorn may cancel in the middle of a write. sse-starlette: "
        "`shutdown_event` and `shutdown_grace_period` of `EventSourceResponse`. FastAPI: "
        "`lifespan`, behind its `yield`.",
        BUILD,
    ),
)

EXERCISES = (finished_write, build, drained_shutdown)
