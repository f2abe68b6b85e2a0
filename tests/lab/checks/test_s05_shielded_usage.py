"""The exercises of s05: each mistake is told apart, and what we say is right, too, is right."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from solutions.s05_shielded_usage import drain, finish
from stages.lab.checks.s05_shielded_usage import drained_shutdown, finished_write
from tests.helpers.checks import Check, at_once
from tests.helpers.wrong_answers import (
    Tasks,
    Write,
    deaf_to_a_second_signal,
    left_running,
    only_anyios_shield,
    own_task,
)


async def plain(write: Write, limit_s: float) -> bool:
    try:
        await asyncio.wait_for(write(), limit_s)
    except Exception:
        return False
    return True


async def errors_come_out(write: Write, limit_s: float) -> bool:
    with anyio.move_on_after(limit_s, shield=True) as scope:
        await write()
    return not scope.cancelled_caught


async def never_bounded(write: Write, limit_s: float) -> bool:
    try:
        with anyio.CancelScope(shield=True):
            await write()
    except Exception:
        return False
    return True


async def nobody_waits(write: Write, limit_s: float) -> bool:
    asyncio.ensure_future(write())  # noqa: RUF006 - the mistake
    return True


async def shield_lets_go_at_the_limit(write: Write, limit_s: float) -> bool:
    try:
        await asyncio.wait_for(asyncio.shield(write()), limit_s)
    except Exception:
        return False
    return True


async def only_asyncios_shield(write: Write, limit_s: float) -> bool:
    try:
        await asyncio.shield(asyncio.wait_for(write(), limit_s))
    except Exception:
        return False
    return True


async def hung_write_is_left(write: Write, limit_s: float) -> bool:
    task = asyncio.ensure_future(write())
    with anyio.CancelScope(shield=True):
        done, _ = await asyncio.wait({task}, timeout=limit_s)
    return bool(done) and task.exception() is None


async def shield_awaited_again(write: Write, limit_s: float) -> bool:
    task = asyncio.ensure_future(asyncio.wait_for(write(), limit_s))
    try:
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
    except Exception:
        return False
    return True


async def every_cancellation_ends_in_false(write: Write, limit_s: float) -> bool:
    try:
        await asyncio.wait_for(write(), limit_s)
    except BaseException:
        return False
    return True


async def swallowed(write: Write, limit_s: float) -> bool:
    task = asyncio.ensure_future(only_anyios_shield(write, limit_s))
    with anyio.CancelScope(shield=True):
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
    return task.result()


async def busy(write: Write, limit_s: float) -> bool:
    task, cancelled = asyncio.ensure_future(only_anyios_shield(write, limit_s)), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled and (us := asyncio.current_task()) is not None:
        us.cancel()
    return task.result()


async def retried(write: Write, limit_s: float) -> bool:
    return await finish(write, limit_s) or await finish(write, limit_s)


async def shield_in_a_scope(write: Write, limit_s: float) -> bool:
    async def bounded() -> bool:
        try:
            with anyio.fail_after(limit_s):
                await write()
        except Exception:
            return False
        return True

    task, cancelled = asyncio.create_task(bounded()), False
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                cancelled = True
    if cancelled and (us := asyncio.current_task()) is not None:
        us.cancel()  # for whoever awaits next
    return task.result()


WRONG_WRITES = [
    (errors_come_out, "ConnectionError: the database is gone"),
    (never_bounded, "nothing, 3 s later"),
    (nobody_waits, "finish returns True, and the write never began"),
    (hung_write_is_left, "finish returns False, and the write still runs"),
    (plain, "finish raises CancelledError, and the write was cut"),
    (shield_lets_go_at_the_limit, "asyncio.shield and asyncio.wait let go"),
    (only_asyncios_shield, "finish raises CancelledError, and the write still runs"),
    (shield_awaited_again, "and the write was cut"),
    (every_cancellation_ends_in_false, "finish returns False, and the write was cut"),
    (only_anyios_shield, "it knows of no shield"),
    (own_task, "cancelled: the task, twice"),
    (swallowed, "the cancellation is swallowed"),
    (busy, "woken up more than 100 times"),
    (retried, "begun more than once"),
]


async def gathered(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    await asyncio.gather(*tasks)
    return len(tasks), 0


async def wait_for_gather(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    waiting = list(tasks)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*waiting), limit_s)
    cancelled = sum(task.cancelled() for task in waiting)
    return len(waiting) - cancelled, cancelled


async def wait_for_gather_of_all(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    waiting = list(tasks)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), limit_s)
    cancelled = sum(task.cancelled() for task in waiting)
    return len(waiting) - cancelled, cancelled


async def empty_set_waited_for(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    done, left = await asyncio.wait(tasks, timeout=limit_s)
    return len(done), len(left)


async def cancelled_and_left(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    if not tasks:
        return 0, 0
    done, left = await asyncio.wait(tasks, timeout=limit_s)
    await asyncio.gather(*done, return_exceptions=True)
    for task in left:
        task.cancel()
    await asyncio.sleep(0)
    return len(done), len(left)


async def never_asked(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    if not tasks:
        return 0, 0
    done, left = await asyncio.wait(set(tasks), timeout=limit_s)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    return len(done), len(left)


async def live_set(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    finished = 0
    for task in tasks:
        await asyncio.wait({task}, timeout=limit_s)
        await asyncio.gather(task, return_exceptions=True)
        finished += 1
    return finished, 0


async def counted_afterwards(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    if not tasks:
        return 0, 0
    await asyncio.wait(tasks, timeout=limit_s)
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    cancelled = sum(isinstance(result, asyncio.CancelledError) for result in results)
    return len(waiting) - cancelled, cancelled


async def limit_for_each(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    finished = cancelled = 0
    for task in list(tasks):
        try:
            await asyncio.wait_for(task, limit_s)
            finished += 1
        except TimeoutError:
            cancelled += 1
        except Exception:
            finished += 1
    return finished, cancelled


async def all_the_time_there_is(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    await asyncio.sleep(limit_s)
    return await drain(tasks, 0.0)


async def waited_for_twice(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    if not (waiting := list(tasks)):
        return 0, 0
    try:
        done, left = await asyncio.wait(waiting, timeout=limit_s)
    except asyncio.CancelledError:
        for task in waiting:
            task.cancel()
        raise
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    for task in waiting:
        _ = task.cancelled() or task.exception()
    return len(done), len(left)


async def second_signal_swallowed(tasks: Tasks, limit_s: float) -> tuple[int, int]:
    try:
        return await drain(tasks, limit_s)
    except asyncio.CancelledError:
        return 0, len(tasks)


WRONG_DRAINS = [
    (all_the_time_there_is, "nothing, 3 s later"),
    (empty_set_waited_for, "empty"),
    (gathered, "ConnectionError: the client is gone"),
    (wait_for_gather, "ConnectionError: the client is gone"),
    (live_set, "Set changed size during iteration"),
    (counted_afterwards, "drain returns (0, 0)"),
    (left_running, "drain returns (1, 1), and 1 task still runs"),
    (cancelled_and_left, "it has tidied up. Await it"),
    (limit_for_each, "nothing, 3 s later"),
    (wait_for_gather_of_all, "counts as cancelled, however it ends"),
    (never_asked, "never retrieved"),
    (deaf_to_a_second_signal, "drain raises CancelledError, and 2 tasks still run"),
    (second_signal_swallowed, "the cancellation is swallowed"),
]


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (finished_write, shield_in_a_scope),
        (drained_shutdown, waited_for_twice),
    ],
)
def test_what_we_say_is_right_too_is_right(exercise: Any, answer: Any) -> None:
    outcome = exercise.check(answer)

    assert outcome.state == "right", outcome


@pytest.fixture(scope="module")
def checked_finish(request: pytest.FixtureRequest) -> Iterator[Check]:
    yield from at_once(request, finished_write, "wrong")


@pytest.mark.parametrize(
    ("wrong", "words"), WRONG_WRITES, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_wrong_finish_is_told_what_it_does(checked_finish: Check, wrong: Any, words: str) -> None:
    outcome = checked_finish(wrong)

    assert outcome.state == "not yet"
    assert words in repr(outcome)


@pytest.fixture(scope="module")
def checked_drain(request: pytest.FixtureRequest) -> Iterator[Check]:
    yield from at_once(request, drained_shutdown, "wrong")


@pytest.mark.parametrize(
    ("wrong", "words"), WRONG_DRAINS, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_wrong_drain_is_told_what_it_does(checked_drain: Check, wrong: Any, words: str) -> None:
    outcome = checked_drain(wrong)

    assert outcome.state == "not yet"
    assert words in repr(outcome)
