"""The witness knows how late this process was woken, and a bound grows by it, and by no more."""

import asyncio
import sys
import time

import pytest

from stages.lab.bench import witness as witness_module
from stages.lab.bench.verdict import Late
from stages.lab.bench.witness import ON_TIME_S, WAKES, Witness
from tests.helpers.busy import busy


def seen(*delays: tuple[float, float]) -> Witness:
    """Return a witness that was due and woke at these times."""
    made = Witness()
    made._delays = list(delays)
    return made


def hold_up(seconds: float) -> None:
    """Hold the event loop up, as a busy machine does."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        pass


def test_what_holds_the_loop_up_is_seen_also_before_the_witness_is_awake() -> None:
    async def run() -> tuple[float, float]:
        with Witness() as witness:
            since_s = time.monotonic()
            await asyncio.sleep(0)
            hold_up(0.3)
            at_once_s = witness.taken_s(since_s)
            await asyncio.sleep(0.05)
            return at_once_s, witness.taken_s(since_s)

    at_once_s, later_s = asyncio.run(run())

    assert 0.25 < at_once_s <= 0.3 + 0.01
    assert later_s >= at_once_s


def test_a_loop_that_rests_loses_next_to_nothing() -> None:
    async def run() -> float:
        with Witness() as witness:
            since_s = time.monotonic()
            await asyncio.sleep(0.2)
            return witness.taken_s(since_s)

    # The best of five: other work may come between in one of them.
    assert min(asyncio.run(run()) for _ in range(5)) < 5 * WAKES * ON_TIME_S


def test_outside_of_its_context_it_says_nothing() -> None:
    async def run() -> float:
        with Witness() as witness:
            pass
        since_s = time.monotonic()
        hold_up(0.05)
        return witness.taken_s(since_s)

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("since_s", "until_s", "taken_s"),
    [(0.0, 10.0, 1.5), (0.0, 2.0, 0.0), (3.5, 10.0, 1.0), (0.0, 3.2, 0.2), (5.0, 10.0, 0.0)],
    ids=["all of it", "it came later", "it began before", "it goes on", "it was over"],
)
def test_only_what_was_taken_in_the_time_counts(
    since_s: float, until_s: float, taken_s: float
) -> None:
    assert seen((3.0, 4.5)).taken_s(since_s, until_s) == pytest.approx(taken_s)


def test_many_small_delays_count_as_often_as_processes_wake_one_another() -> None:
    """A wait of a second is not a second late where each of a hundred wakings is 10 ms late."""
    delays = [(i / 50, i / 50 + 0.01) for i in range(100)]

    assert seen(*delays).taken_s(0.0, 2.0) == pytest.approx(WAKES * 0.01)


def test_a_bound_grows_by_what_was_taken() -> None:
    now = time.monotonic()

    left_s = seen((now - 0.4, now - 0.1)).left_s(now - 1.0, 1.0)

    assert left_s == pytest.approx(0.3, abs=0.05)


def test_of_a_bound_that_is_over_nothing_is_left() -> None:
    assert seen().left_s(time.monotonic() - 2.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("came_s", "late"), [(0.9, False), (1.4, False), (1.6, True)], ids=["early", "grown", "late"]
)
def test_what_comes_within_the_grown_bound_is_in_time(came_s: float, late: bool) -> None:
    witness = seen((0.2, 0.7))

    found = witness.late("it came late", 1.0, since_s=0.0, came_s=came_s)

    assert (found is not None) == late


def test_a_lateness_says_what_the_machine_took_of_its_time() -> None:
    found = seen((0.2, 0.7)).late("it came late", 1.0, since_s=0.0, came_s=9.0)

    assert found is not None
    assert found.taken_s == pytest.approx(0.5)


def test_on_a_quiet_machine_a_bound_is_what_it_says() -> None:
    assert seen().late("it came late", 1.0, since_s=0.0, came_s=1.001) == Late("it came late", 1.0)


def test_what_has_not_come_is_late_whatever_the_time() -> None:
    now = time.monotonic()

    assert seen().late("it did not come", 1.0, since_s=now, came_s=None) is not None


def look_for(comes_after_s: float, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, float | None]:
    monkeypatch.setattr(witness_module, "LOST_S", 0.4)

    async def run() -> tuple[bool, float | None]:
        begun_s = time.monotonic()

        async def look() -> bool:
            return time.monotonic() > begun_s + comes_after_s

        found, at_s = await Witness().see(look, bool, 0.1)
        return found, at_s and at_s - begun_s

    return asyncio.run(run())


def test_what_comes_late_is_seen_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found, at_s = look_for(0.2, monkeypatch)

    assert found
    assert at_s is not None
    assert at_s >= 0.2


def test_what_never_comes_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_for(60.0, monkeypatch) == (False, None)


# What was taken from the processes that are measured


def queued(*looks: tuple[float, dict[int, float]]) -> Witness:
    """Return a witness that has looked at the queues of processes at these times."""
    made = Witness()
    made._looks._looks = list(looks)
    return made


LOOKS = ((1.0, {7: 0.5, 8: 0.0}), (2.0, {7: 0.6, 8: 0.0}), (3.0, {7: 1.0, 8: 0.1}))


@pytest.mark.parametrize(
    ("since_s", "until_s", "taken_s"),
    [(1.0, 3.0, 0.5), (2.0, 3.0, 0.4), (1.2, 1.8, 0.1), (3.0, 3.5, 0.0), (2.9, 3.0, 0.1)],
    ids=["all of it", "a part", "between two looks", "after the last look", "all of the time"],
)
def test_a_server_that_had_to_wait_for_its_turn_is_given_the_time(
    since_s: float, until_s: float, taken_s: float
) -> None:
    assert queued(*LOOKS).taken_s(since_s, until_s) == pytest.approx(taken_s)


def test_a_server_that_was_started_meanwhile_is_given_what_it_waited_for() -> None:
    assert queued((1.0, {}), (3.0, {7: 0.5})).taken_s(1.0, 3.0) == pytest.approx(0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps an account of its queues")
def test_linux_says_of_a_process_that_shares_a_core_how_long_it_waited() -> None:
    """Two that compute on one core for a second have waited for each other half of it."""
    with busy(2) as processes:

        async def run() -> float:
            with Witness(lambda: [process.pid for process in processes]) as witness:
                since_s = time.monotonic()
                await asyncio.sleep(1.0)
                return witness.taken_s(since_s)

        assert 0.3 < asyncio.run(run()) <= 1.1
