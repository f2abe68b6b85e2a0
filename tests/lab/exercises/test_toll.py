"""The toll is what the machine took from an answer, and nothing that the answer took itself."""

import sys
import time
from collections.abc import Iterable

import pytest

from stages.lab.exercises.toll import Toll
from stages.lab.processes.queues import Queues
from tests.helpers.busy import busy
from tests.helpers.until import until

RESTS_S = 0.5


class NoAccount(Queues):
    """What a system says that keeps no account of its queues."""

    def look(self, pids: Iterable[int]) -> dict[int, float]:
        return {}


def looked(*looks: tuple[float, dict[int, float]]) -> Toll:
    """Return a toll that is closed, and has looked at the queues of processes at these times."""
    with Toll() as made:
        pass
    made._looks._looks = list(looks)
    return made


LOOKS = ((1.0, {7: 0.5, 8: 0.0}), (2.0, {7: 0.6, 8: 0.0}), (3.0, {7: 1.0, 8: 0.1, 9: 0.2}))


@pytest.mark.parametrize(
    ("since_s", "until_s", "taken_s"),
    [(1.0, 3.0, 0.8), (0.0, 3.0, 0.8), (2.0, 3.0, 0.7), (1.2, 1.8, 0.1), (2.9, 3.0, 0.1)],
    ids=["all of it", "from the start", "a part", "between two looks", "no more than the time"],
)
def test_processes_that_wait_for_one_another_are_given_what_all_of_them_lost(
    since_s: float, until_s: float, taken_s: float
) -> None:
    assert looked(*LOOKS).taken_s(since_s, until_s) == pytest.approx(taken_s)


def test_a_process_that_rests_loses_next_to_nothing() -> None:
    def rest() -> float:
        with Toll() as toll:
            since_s = time.monotonic()
            time.sleep(RESTS_S)
            return toll.taken_s(since_s)

    # The best of five: other work may come between in one of them.
    assert min(rest() for _ in range(5)) < RESTS_S / 5


def test_where_no_account_is_kept_it_is_how_late_a_thread_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stages.lab.processes.queues.Queues", NoAccount)
    with Toll() as toll:
        pass
    toll._delays = [(1.0, 0.5), (2.0, 0.25), (3.0, 0.25)]

    assert toll.taken_s(1.5, 3.5) == pytest.approx(0.5)


def test_an_answer_that_computes_takes_the_time_itself_also_where_no_account_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stages.lab.processes.queues.Queues", NoAccount)

    with Toll() as toll:
        since_s, before_s = time.monotonic(), time.process_time()
        looks = toll._looks._looks
        before = len(looks)
        sum(range(30_000_000))  # in C: no other thread runs meanwhile
        # The thread wakes and sees how late it is; the second look began after that.
        until(lambda: len(looks), lambda now: now >= before + 2, "second look")
        taken_s, used_s = toll.taken_s(since_s), time.process_time() - before_s
        spent_s = time.monotonic() - since_s

    # What the others had of the time is theirs, also while this test runs.
    assert taken_s < spent_s - used_s + 0.05


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps an account of its queues")
def test_linux_says_how_long_others_had_the_core_of_a_process_also_when_that_has_ended() -> None:
    with busy(2) as processes, Toll(lambda: [process.pid for process in processes]) as toll:
        until(lambda: toll.taken_s(0.0), lambda taken_s: taken_s > 0.3, "toll of two on one core")
        processes[-1].kill()
        processes[-1].wait()

        assert toll.taken_s(0.0) > 0.3
