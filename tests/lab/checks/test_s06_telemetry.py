"""The exercises of s06: each mistake is told apart, and what we say is right, too, is right."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import pairwise
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from prometheus_client import Gauge

from stages.lab.checks.s06_telemetry import gauge_owner, timing

Tokens = list[tuple[float, str]]


def timed(start_s: float, times: list[float]) -> dict[str, Any]:
    gaps = [later - earlier for earlier, later in pairwise(times)]
    ttft_s = times[0] - start_s if times else None
    return {"ttft_s": ttft_s, "tpot_s": sum(gaps) / len(gaps) if gaps else None, "itl_s": gaps}


def mean_of_the_gaps(start_s: float, tokens: Tokens) -> dict[str, Any]:
    return timed(start_s, [at_s for at_s, text in tokens if text])


def role_is_a_token(start_s: float, tokens: Tokens) -> dict[str, Any]:
    return timed(start_s, [at_s for at_s, _ in tokens])


def space_is_no_token(start_s: float, tokens: Tokens) -> dict[str, Any]:
    return timed(start_s, [at_s for at_s, text in tokens if text.strip()])


def divided_by_all_tokens(start_s: float, tokens: Tokens) -> dict[str, Any]:
    times = [at_s for at_s, text in tokens if text]
    right = timed(start_s, times)
    if right["tpot_s"] is not None:
        right["tpot_s"] = (times[-1] - times[0]) / len(times)
    return right


def from_the_request(start_s: float, tokens: Tokens) -> dict[str, Any]:
    times = [at_s for at_s, text in tokens if text]
    right = timed(start_s, times)
    if right["tpot_s"] is not None:
        right["tpot_s"] = (times[-1] - start_s) / len(times)
    return right


def clock_from_zero(start_s: float, tokens: Tokens) -> dict[str, Any]:
    return timed(0.0, [at_s for at_s, text in tokens if text])


def zero_for_none(start_s: float, tokens: Tokens) -> dict[str, Any]:
    right = mean_of_the_gaps(start_s, tokens)
    return right | {"ttft_s": right["ttft_s"] or 0.0}


def zero_per_token(start_s: float, tokens: Tokens) -> dict[str, Any]:
    right = mean_of_the_gaps(start_s, tokens)
    return right | {"tpot_s": right["tpot_s"] or 0.0}


def zero_is_false(start_s: float, tokens: Tokens) -> dict[str, Any]:
    right = mean_of_the_gaps(start_s, tokens)
    return right | {"ttft_s": right["ttft_s"] or None}


def itl_is_one_number(start_s: float, tokens: Tokens) -> dict[str, Any]:
    right = mean_of_the_gaps(start_s, tokens)
    return right | {"itl_s": right["tpot_s"]} if right["itl_s"] else right


def first_of_nothing(start_s: float, tokens: Tokens) -> dict[str, Any]:
    times = [at_s for at_s, text in tokens if text]
    return timed(start_s, times) | {"ttft_s": times[0] - start_s}


def list_is_emptied(start_s: float, tokens: Tokens) -> dict[str, Any]:
    right = mean_of_the_gaps(start_s, tokens)
    tokens.clear()
    return right


def names_of_its_own(start_s: float, tokens: Tokens) -> dict[str, Any]:
    return {"ttft": 0.5, "tpot": None, "itl": []}


WRONG_TIMES = [
    (names_of_its_own, "exactly these three keys"),
    (zero_per_token, "One token has no token after it"),
    (divided_by_all_tokens, "tpot_s = 0.125"),
    (from_the_request, "tpot_s = 0.375"),
    (itl_is_one_number, "itl_s has each gap"),
    (clock_from_zero, "ttft_s = 1000.5"),
    (zero_is_false, "A time of 0.0 is a time"),
    (role_is_a_token, "An empty text is no token"),
    (space_is_no_token, "only the empty text is none"),
    (zero_for_none, "None, and not 0"),
    (first_of_nothing, "IndexError"),
    (list_is_emptied, "the list of tokens was changed"),
]


class Base:
    def __init__(self, gauge: Gauge, limit: int) -> None:
        self.gauge, self.limit, self.running = gauge, limit, 0
        self.slots = anyio.Semaphore(limit)


class NoFinally(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        yield
        self.gauge.dec()
        self.slots.release()


class CountedBeforeTheRefusal(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.gauge.inc()
        self.slots.acquire_nowait()
        try:
            yield
        finally:
            self.gauge.dec()
            self.slots.release()


class RefusedInTheTry(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        try:
            self.slots.acquire_nowait()
            self.gauge.inc()
            yield
        finally:
            self.gauge.dec()
            self.slots.release()


class RefusedGivesASlotBack(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        counted = False
        try:
            self.slots.acquire_nowait()
            self.gauge.inc()
            counted = True
            yield
        finally:
            if counted:
                self.gauge.dec()
            self.slots.release()


class CountedTwice(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        try:
            yield
        except Exception:
            self.gauge.dec()
            raise
        finally:
            self.gauge.dec()
            self.slots.release()


class OnlyExceptions(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        try:
            yield
        except Exception:
            self.gauge.dec()
            self.slots.release()
            raise
        self.gauge.dec()
        self.slots.release()


class LikeAHandler(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        with self.gauge.track_inprogress():
            self.slots.acquire_nowait()
        try:
            yield
        finally:
            self.slots.release()


class AwaitsBeforeTheTry(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        await checkpoint()  # a row is inserted, say
        try:
            yield
        finally:
            self.gauge.dec()
            self.slots.release()


class AwaitsBeforeTheDec(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        try:
            yield
        finally:
            await checkpoint()  # a row is finished, say
            self.gauge.dec()
            self.slots.release()


class SlotIsLost(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        with self.gauge.track_inprogress():
            yield
        self.slots.release()


class NeverRefuses(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        with self.gauge.track_inprogress():
            yield


class Waits(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        async with self.slots:
            with self.gauge.track_inprogress():
                yield


class Swallows(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        with suppress(Exception):
            yield
        self.gauge.dec()
        self.slots.release()


class SwallowsAll(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        self.gauge.inc()
        try:
            yield
        except BaseException as exc:
            if isinstance(exc, Exception):
                raise
        finally:
            self.gauge.dec()
            self.slots.release()


class InATaskGroup(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.slots.acquire_nowait()
        with self.gauge.track_inprogress():
            try:
                async with anyio.create_task_group():
                    yield
            finally:
                self.slots.release()


class SlotsOfTheClass(Base):
    shared = anyio.Semaphore(3)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.shared.acquire_nowait()
        with self.gauge.track_inprogress():
            try:
                yield
            finally:
                self.shared.release()


class NotAsync(Base):
    @contextmanager
    def admitted(self) -> Iterator[None]:
        self.slots.acquire_nowait()
        with self.gauge.track_inprogress():
            yield


WRONG_GAUGES = [
    (NotAsync, "async with"),
    (LikeAHandler, "the gauge says 0 while 1 run"),
    (NeverRefuses, "got       4 streams run, where 3 may"),
    (Waits, "it waits for a slot"),
    (CountedBeforeTheRefusal, "the gauge says 4 while 3 run"),
    (RefusedInTheTry, "the gauge says 2 while 3 run"),
    (RefusedGivesASlotBack, "a refusal gave a slot back"),
    (NoFinally, "each of 3 fails"),
    (CountedTwice, "One inc has one dec"),
    (Swallows, "what the body raised is swallowed"),
    (SlotIsLost, "A slot that is not given back"),
    (OnlyExceptions, "is cancelled: its task"),
    (SwallowsAll, "what the body raised is swallowed"),
    (AwaitsBeforeTheDec, "count first, then await"),
    (AwaitsBeforeTheTry, "while it enters"),
    (InATaskGroup, "ExceptionGroup comes out"),
    (SlotsOfTheClass, "Each Streams has slots of its own"),
]


class CountsItself(Base):
    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        if self.running == self.limit:
            raise anyio.WouldBlock
        self.running += 1
        try:
            with self.gauge.track_inprogress():
                yield
        finally:
            self.running -= 1


class Held:
    def __init__(self, streams: "AsAClass") -> None:
        self.streams = streams

    async def __aenter__(self) -> None:
        self.streams.slots.acquire_nowait()
        self.streams.gauge.inc()

    async def __aexit__(self, *exc_info: object) -> None:
        self.streams.gauge.dec()
        self.streams.slots.release()


class AsAClass(Base):
    def admitted(self) -> Held:
        return Held(self)


TABLES = ((timing, WRONG_TIMES), (gauge_owner, WRONG_GAUGES))


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (timing, mean_of_the_gaps),
        (gauge_owner, CountsItself),
        (gauge_owner, AsAClass),
    ],
)
def test_what_we_say_is_right_too_is_right(exercise: Any, answer: Any) -> None:
    outcome = exercise.check(answer)

    assert outcome.state == "right", outcome


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [(exercise, *row) for exercise, table in TABLES for row in table],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_a_wrong_answer_is_told_what_it_does(exercise: Any, wrong: Any, words: str) -> None:
    outcome = exercise.check(wrong)

    assert outcome.state == "not yet"
    assert words in repr(outcome)
