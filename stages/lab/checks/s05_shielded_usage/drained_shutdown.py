"""The exercise `drained_shutdown`: tasks of all kinds, and what has become of them."""

from typing import Any

from stages.lab.checks.s05_shielded_usage.drains import DRAINS, Drained
from stages.lab.exercises.exercise import Short

DRAIN = """The shape:

    waiting = set(tasks)
    try:
        done, left = await asyncio.wait(waiting, timeout=limit_s)
    finally:
        ...  # cancel each of waiting: it does nothing to one that is done
    # then gather all of them, and count; and what does a wait say of an empty set?"""


async def judge_drain(drain: Any) -> str:
    """Hand over tasks of all kinds, and see what has become of them when `drain` is over."""
    for case in DRAINS:
        await Drained(case).run(drain)
    tasks = sum(len(case.tasks) for case in DRAINS)
    return f"All {len(DRAINS)} cases hold, with {tasks} tasks."


drained_shutdown = Short(
    stem="s05_shielded_usage",
    name="drained_shutdown",
    stub="drain",
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
