"""The exercise `controller`: every case of a relay, played to its end or to its deadline."""

import asyncio
from typing import Any

from stages.lab.checks import turns
from stages.lab.checks.s04_backpressured.relay_cases import (
    CASES,
    GENERATOR,
    NOBODY_TAKES,
    NOT_OURS,
    Case,
)
from stages.lab.checks.s04_backpressured.relays import Scene
from stages.lab.exercises.attempt import calling, failed, standing
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet

HANG_S = 3.0  # a case takes milliseconds; the rest is for a busy machine


async def judge_controller(relay: Any) -> str:
    """Play every case."""
    for case in CASES:
        await hold(relay, case)
    return f"All {len(CASES)} streams came whole and in order, and nothing was left running."


async def hold(relay: Any, case: Case) -> None:
    """Play a case; raises NotYet."""
    turns.keep_quiet()
    call = f"relay(upstream, size={case.size})    # {case.name}"
    with calling(call, case.expected, case.rule):
        scene = Scene(case, relay)
        if not hasattr(scene.stream, "aclose"):
            raise scene.not_yet(
                f"a {type(scene.stream).__name__}, and no async generator", GENERATOR
            )
        task = asyncio.create_task(scene.play())
        scene.before.add(task)
        done, _ = await asyncio.wait({task}, timeout=HANG_S)
        if not done:
            rule = NOBODY_TAKES if scene.doing in ("close", "elsewhere") else case.rule
            line = standing(None, asyncio.get_running_loop())
            raise scene.not_yet(f"nothing more in {HANG_S:g} s", rule, line, HANG_S)
        if task.cancelled():
            raise scene.not_yet("the consumer is cancelled, by nobody outside", NOT_OURS)
        if (exc := task.exception()) is not None:
            raise exc if isinstance(exc, NotYet) else failed(exc)


controller = Short(
    stem="s04_backpressured",
    name="controller",
    stub="relay",
    minutes=25,
    difficulty="hard",
    judge=judge_controller,
    hints=(
        "Who fills a queue must not be who empties it. So there are two tasks, and the generator "
        "owns the other one. Ask on each way out, the end, a failure, a close, a cancellation: who "
        "ends the producer, and who closes the upstream?",
        "`asyncio.create_task` for the producer; a `finally` in the generator that cancels it and "
        "awaits it with `asyncio.gather(..., return_exceptions=True)`; `contextlib.aclosing` "
        "around the upstream, inside the producer. A failure goes through the queue, behind the "
        "tokens. Not a task group: it must not have a `yield` inside.",
        "`async def read():` with `try:` `async with aclosing(upstream):` "
        "`async for token in upstream: await queue.put(token)`, `except Exception as exc:` "
        "`await queue.put(exc)`, `else: await queue.put(None)`. The generator makes a task of it, "
        "and then `try: while isinstance(item := await queue.get(), str): yield item`, raises an "
        "item that is not None, and cancels and awaits the task in its `finally`.",
    ),
    or_else="Right, too: `anyio.create_memory_object_stream(size)` in place of the queue, or a "
    "`deque` and a semaphore that lets `size` tokens in. Where a cancel scope cancels, as "
    "Starlette does, the wait in the `finally` is cancelled again and again, and with it what the "
    "upstream does to close. Stage 5 is about that.",
    deadline_s=20.0,
)
