"""Whoever looks until a deadline has it at once, or in time, or is told what was seen instead."""

import asyncio
import re
import time
from collections.abc import Sequence

import pytest

from stages.lab.processes.until import NotInTime, last_look, until

LONG_S = 60.0  # nobody waits so long: where it is waited for, the test's own timeout ends it


class Counter:
    """Something to look at: it counts the looks."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> int:
        self.looks += 1
        return self.looks


def test_what_is_there_is_returned_at_once() -> None:
    begun_s = time.monotonic()
    seen = asyncio.run(until(Counter().look, lambda _: True, LONG_S, "a look", every_s=LONG_S))

    assert seen == 1
    assert time.monotonic() - begun_s < LONG_S / 2


def test_what_comes_later_is_looked_for_again() -> None:
    assert asyncio.run(until(Counter().look, lambda n: n > 4, LONG_S, "five looks")) == 5


def test_between_two_looks_others_run() -> None:
    async def look_while_another_runs() -> Sequence[int]:
        seen = list[int]()

        async def look() -> list[int]:
            return seen

        asyncio.get_running_loop().call_later(0.05, seen.append, 7)
        return await until(look, bool, LONG_S, "a number")

    assert asyncio.run(look_while_another_runs()) == [7]


@pytest.mark.parametrize("deadline_s", [0.0, 0.05])
def test_what_does_not_come_is_an_error_that_says_what_was_seen_last(deadline_s: float) -> None:
    with pytest.raises(NotInTime) as caught:
        asyncio.run(until(Counter().look, lambda _: False, deadline_s, "a hundred looks"))

    assert re.fullmatch(
        rf"Waited {deadline_s:g} s for a hundred looks, and it did not come\. What was seen last: "
        r"\d+\. Probably nothing brings it about any more, or this machine is busy\. Look at what "
        r"should bring it about, or wait longer\.",
        str(caught.value),
    )


def test_a_megabyte_is_short_in_the_error() -> None:
    async def look() -> str:
        return "x" * 1_000_000

    with pytest.raises(NotInTime) as caught:
        asyncio.run(until(look, lambda _: False, 0.0, "no text"))

    assert len(str(caught.value)) < 500


def test_whoever_needs_no_error_has_what_was_seen_last() -> None:
    counter = Counter()

    assert asyncio.run(last_look(counter.look, lambda _: False, 0.05)) == counter.looks


def test_what_came_between_the_last_look_and_the_deadline_is_seen() -> None:
    async def come_in_time() -> int:
        seen = list[int]()

        async def count() -> int:
            return len(seen)

        asyncio.get_running_loop().call_later(0.05, seen.append, 7)
        return await until(count, bool, 0.1, "a number", every_s=0.2)

    assert asyncio.run(come_in_time()) == 1


def test_at_a_deadline_of_nothing_there_is_one_look() -> None:
    counter = Counter()
    asyncio.run(last_look(counter.look, lambda _: False, 0.0))

    assert counter.looks == 1
