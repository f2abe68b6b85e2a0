"""The checks of s04 tell a right answer from a wrong one, and say what is wrong with it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from solutions.s04_backpressured import drain
from stages.lab.checks.s04_backpressured import controller, draining
from tests.helpers.checks import Check, at_once

Upstream = AsyncGenerator[str, None]


# --- controller -----------------------------------------------------------------------------------


async def puts_and_yields(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[str](size)
    async for token in upstream:
        await queue.put(token)
    while not queue.empty():
        yield queue.get_nowait()


async def only_passes_on(upstream: Upstream, size: int) -> AsyncIterator[str]:
    async for token in upstream:
        yield token


async def fill(queue: "asyncio.Queue[Any]", upstream: Upstream) -> None:
    """Be the producer of those that do not look at failures."""
    async for token in upstream:
        await queue.put(token)
    await queue.put(None)


async def fill_well(queue: "asyncio.Queue[Any]", upstream: Upstream) -> None:
    """Be a right producer."""
    try:
        async with aclosing(upstream):
            async for token in upstream:
                await queue.put(token)
    except Exception as exc:
        await queue.put(exc)
    else:
        await queue.put(None)


async def has_no_bound(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any]()
    producer = asyncio.create_task(fill(queue, upstream))
    while (token := await queue.get()) is not None:
        yield token
    await producer


async def ends_at_an_empty_token(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill(queue, upstream))
    while token := await queue.get():
        yield token
    await producer


async def waits_for_a_dead_producer(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill(queue, upstream))
    while (token := await queue.get()) is not None:
        yield token
    await producer


async def hides_the_failure(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)

    async def read() -> None:
        try:
            async for token in upstream:
                await queue.put(token)
        finally:
            await queue.put(None)

    producer = asyncio.create_task(read())
    while (token := await queue.get()) is not None:
        yield token
    producer.cancel()


async def lets_the_group_out(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    async with asyncio.TaskGroup() as group:
        group.create_task(fill(queue, upstream))
        while (token := await queue.get()) is not None:
            yield token


async def unwraps_the_group(upstream: Upstream, size: int) -> AsyncIterator[str]:
    try:
        async for token in lets_the_group_out(upstream, size):
            yield token
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def fails_before_the_tokens(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill(queue, upstream))
    while True:
        getter = asyncio.create_task(queue.get())
        await asyncio.wait({getter, producer}, return_when=asyncio.FIRST_COMPLETED)
        if producer.done() and producer.exception() is not None:
            getter.cancel()
            await asyncio.gather(getter, return_exceptions=True)
            producer.result()
        if (token := await getter) is None:
            return
        yield token


async def leaves_the_producer(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill_well(queue, upstream))
    while isinstance(item := await queue.get(), str):
        yield item
    await producer
    if item is not None:
        raise item


async def cancels_and_goes(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill_well(queue, upstream))
    try:
        while isinstance(item := await queue.get(), str):
            yield item
        if item is not None:
            raise item
    finally:
        producer.cancel()


async def with_a_group_around_the_yield(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    async with anyio.create_task_group() as group:
        group.start_soon(fill_well, queue, upstream)
        while isinstance(item := await queue.get(), str):
            yield item
    if item is not None:
        raise item


async def closes_no_upstream(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)

    async def read() -> None:
        try:
            await fill(queue, upstream)
        except Exception as exc:
            await queue.put(exc)

    producer = asyncio.create_task(read())
    try:
        while isinstance(item := await queue.get(), str):
            yield item
        if item is not None:
            raise item
    finally:
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)


async def puts_while_it_closes(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue, failures = asyncio.Queue[Any](size), list[Exception]()

    async def read() -> None:
        try:
            async with aclosing(upstream):
                async for token in upstream:
                    await queue.put(token)
        except Exception as exc:
            failures.append(exc)
        finally:
            await queue.put(None)

    producer = asyncio.create_task(read())
    try:
        while isinstance(item := await queue.get(), str):
            yield item
        if failures:
            raise failures[0]
    finally:
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)


async def swallows_the_cancellation(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill_well(queue, upstream))
    try:
        while isinstance(item := await queue.get(), str):
            yield item
        if item is not None:
            raise item
    except asyncio.CancelledError:
        return
    finally:
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)


async def does_not_await_a_second_time(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill_well(queue, upstream))
    try:
        while isinstance(item := await queue.get(), str):
            yield item
        if item is not None:
            raise item
    finally:
        producer.cancel()
        await asyncio.wait({producer})


async def spins(upstream: Upstream, size: int) -> AsyncIterator[str]:
    queue = asyncio.Queue[Any](size)
    producer = asyncio.create_task(fill_well(queue, upstream))
    try:
        while True:
            while queue.empty():  # noqa: ASYNC110  # the mistake
                await asyncio.sleep(0)
            if not isinstance(item := queue.get_nowait(), str):
                break
            yield item
        if item is not None:
            raise item
    finally:
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)


async def with_a_memory_stream(upstream: Upstream, size: int) -> AsyncIterator[str]:
    send, receive = anyio.create_memory_object_stream[str](size)
    failures = list[Exception]()

    async def read() -> None:
        async with send, aclosing(upstream):
            try:
                async for token in upstream:
                    await send.send(token)
            except Exception as exc:
                failures.append(exc)

    producer = asyncio.create_task(read())
    try:
        async with receive:
            async for token in receive:
                yield token
        if failures:
            raise failures[0]
    finally:
        producer.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({producer})


WRONG_RELAYS: dict[Callable[..., Any], tuple[str, ...]] = {
    puts_and_yields: ("more than the size\n", "nothing more in 3 s", "await queue.put(token) (it"),
    ends_at_an_empty_token: ("# an empty token\n", "the end instead of ''", "only the end is"),
    only_passes_on: ("1 tokens read, 1 of them for the consumer", "Fewer is no queue"),
    has_no_bound: ("20 tokens read, 1 of them for the consumer", "2 or 3 tokens read"),
    waits_for_a_dead_producer: ("# a failure\n", "nothing more in 3 s", "await queue.get()"),
    hides_the_failure: ("# a failure\n", "the end, as if all were well", "comes out behind"),
    lets_the_group_out: ("# a failure\n", "ExceptionGroup", "A task group wraps it"),
    fails_before_the_tokens: ("# a failure", "BrokeOff instead of", "behind the tokens"),
    unwraps_the_group: ("the consumer is cancelled, by nobody outside", "does not own the task"),
    leaves_the_producer: ("and the producer still runs", "aclose() returns", "on every way out"),
    cancels_and_goes: ("and the producer still runs", "cancel it in a `finally`, and await it"),
    with_a_group_around_the_yield: ("aclose() raises BaseExceptionGroup", "GeneratorExit at the"),
    closes_no_upstream: ("# closed with a full queue\n", "nobody has closed it", "leaves it susp"),
    puts_while_it_closes: ("nothing more in 3 s", "await queue.put(None) (it waits", "takes from"),
    swallows_the_cancellation: ("# cancelled in a silence\n", "the end: the cancellation is lost"),
    does_not_await_a_second_time: ("# cancelled by a cancel scope\n", "the producer still runs"),
    spins: ("the event loop never rests while all wait", "computes nothing"),
}


@pytest.fixture(scope="module")
def checked_relay(request: pytest.FixtureRequest) -> Iterator[Check]:
    yield from at_once(request, controller, "answer")


@pytest.mark.parametrize("answer", WRONG_RELAYS, ids=lambda answer: answer.__name__)
def test_a_wrong_relay_is_told_what_is_wrong_with_it(
    checked_relay: Check, answer: Callable[..., Any]
) -> None:
    outcome = checked_relay(answer)

    assert outcome.state == "not yet"
    assert [words for words in WRONG_RELAYS[answer] if words not in repr(outcome)] == []


def test_what_is_no_generator_is_told_so() -> None:
    async def collects(upstream: Upstream, size: int) -> list[str]:
        return [token async for token in upstream]

    outcome = controller.check(collects)

    assert "a coroutine, and no async generator" in repr(outcome)


def test_a_relay_with_a_memory_stream_is_right_too() -> None:
    outcome = controller.check(with_a_memory_stream)

    assert (outcome.state, outcome.finding[:14]) == ("right", "All 13 streams")


# --- draining -------------------------------------------------------------------------------------

Queue = asyncio.Queue[str | None]


async def blocks_for_the_next(queue: Queue) -> tuple[str, bool]:
    text = ""
    while (item := await queue.get()) is not None:
        text += item
    return text, True


async def waits_a_little_for_more(queue: Queue) -> tuple[str, bool]:
    text = ""
    while True:
        try:
            item = await asyncio.wait_for(queue.get(), 0.02)
        except TimeoutError:
            return text, False
        if item is None:
            return text, True
        text += item


async def does_not_wait(queue: Queue) -> tuple[str, bool]:
    text = ""
    while not queue.empty():
        if (item := await queue.get()) is None:
            return text, True
        text += item
    return text, False


async def loses_the_end(queue: Queue) -> tuple[str, bool]:
    text = await queue.get() or ""
    while not queue.empty():
        if (item := queue.get_nowait()) is None:
            break
        text += item
    return text, False


async def expects_text_first(queue: Queue) -> tuple[str, bool]:
    text: Any = await queue.get()
    while not queue.empty():
        if (item := queue.get_nowait()) is None:
            return text, True
        text += item
    return text, False


async def ends_at_an_empty_text(queue: Queue) -> tuple[str, bool]:
    text, item = "", await queue.get()
    while item:
        text += item
        if queue.empty():
            return text, False
        item = queue.get_nowait()
    return text, True


async def takes_what_is_behind(queue: Queue) -> tuple[str, bool]:
    items = [await queue.get()]
    items += [queue.get_nowait() for _ in range(queue.qsize())]
    return "".join(filter(None, items)), None in items


async def with_an_item_in_hand(queue: Queue) -> tuple[str, bool]:
    item, text = await queue.get(), ""
    await asyncio.sleep(0)  # lets others put some more
    while item is not None:
        text += item
        if queue.empty():
            break
        item = queue.get_nowait()
    return text, item is None


async def leaves_a_getter(queue: Queue) -> tuple[str, bool]:
    getter = asyncio.ensure_future(queue.get())
    await asyncio.wait({getter})
    item, text = getter.result(), ""
    while item is not None:
        text += item
        if queue.empty():
            break
        item = queue.get_nowait()
    return text, item is None


async def sleeps_between_looks(queue: Queue) -> tuple[str, bool]:
    while queue.empty():  # noqa: ASYNC110  # the mistake
        await asyncio.sleep(0.5)
    return await drain(queue)


async def looks_without_a_rest(queue: Queue) -> tuple[str, bool]:
    while queue.empty():  # noqa: ASYNC110  # the mistake
        await asyncio.sleep(0)
    return await drain(queue)


async def takes_a_cancellation_for_an_end(queue: Queue) -> tuple[str, bool]:
    try:
        return await drain(queue)
    except asyncio.CancelledError:
        return "", False


async def catches_queue_empty(queue: Queue) -> tuple[str, bool]:
    text, item = "", await queue.get()
    while item is not None:
        text += item
        try:
            item = queue.get_nowait()
        except asyncio.QueueEmpty:
            return text, False
    return text, True


WRONG_DRAINS: dict[Callable[..., Any], tuple[str, ...]] = {
    blocks_for_the_next: ("# one item\n", "nothing, 100 turns", "await queue.get()) is not None"),
    waits_a_little_for_more: ("nothing, 100 turns", "wait_for(queue.get(), 0.02)", "each token as"),
    loses_the_end: ("# the end behind the text\n", "('ab', False)", "loses it"),
    expects_text_first: ("# nothing but the end\n", "(None, False)", "('', True)"),
    ends_at_an_empty_text: ("# an empty text in between\n", "('a', True)", "only None is the end"),
    takes_what_is_behind: ("# items behind the end\n", "('ab', True)", "still there: ['b', None]"),
    does_not_wait: ("drain(empty queue)", "('', False), at once", "`get` waits"),
    looks_without_a_rest: ("drain(empty queue)", "the event loop never rests"),
    sleeps_between_looks: ("then 'a' is put", "nothing, 100 turns", "asyncio.sleep(0.5)"),
    takes_a_cancellation_for_an_end: ("('', False): the cancellation is lost",),
    leaves_a_getter: ("CancelledError, then ('b', False)", "a getter in a task of its own"),
    with_an_item_in_hand: ("it is cancelled one turn later\n", "the queue is empty: 'a' is lost"),
}


@pytest.fixture(scope="module")
def checked_drain(request: pytest.FixtureRequest) -> Iterator[Check]:
    yield from at_once(request, draining, "answer")


@pytest.mark.parametrize("answer", WRONG_DRAINS, ids=lambda answer: answer.__name__)
def test_a_wrong_drain_is_told_what_is_wrong_with_it(
    checked_drain: Check, answer: Callable[..., Any]
) -> None:
    outcome = checked_drain(answer)

    assert outcome.state == "not yet"
    assert [words for words in WRONG_DRAINS[answer] if words not in repr(outcome)] == []


def test_a_drain_that_catches_queue_empty_is_right_too() -> None:
    outcome = draining.check(catches_queue_empty)

    assert (outcome.state, outcome.finding[:12]) == ("right", "All 8 queues")
