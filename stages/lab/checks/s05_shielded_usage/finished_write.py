"""The exercise `finished_write`: a write that is awaited to its end, whoever cancels meanwhile."""

from typing import Any

from stages.lab.checks.s05_shielded_usage.write_cases import RESTED, WRITES
from stages.lab.checks.s05_shielded_usage.writes import Counted, Trial
from stages.lab.exercises.exercise import Short

WAKE_UPS = 100  # an answer that waits needs under 10, one that turns in a loop thousands

FINISH = """The shape, with `writing` as the task:

    with anyio.CancelScope(shield=True):
        while not writing.done():
            try:
                await asyncio.wait({writing})
            except asyncio.CancelledError as exc:
                cancelled = exc
    # then raise what was caught, or return the result of the task"""


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


finished_write = Short(
    stem="s05_shielded_usage",
    name="finished_write",
    stub="finish",
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
