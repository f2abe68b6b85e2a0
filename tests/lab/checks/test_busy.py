"""On a machine that is busy, a right answer is never *not yet*, and one wrong by fact always is."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from solutions.s03_disconnect_aware import Stamp, unless_left
from solutions.s05_shielded_usage import drain, finish
from stages.lab.checks.s03_disconnect_aware import middleware, race
from stages.lab.checks.s05_shielded_usage import drained_shutdown, finished_write
from stages.lab.exercises import exam
from stages.lab.processes.start import start
from tests.helpers.busy import busy, one_core
from tests.helpers.sample_checks import doubling, hasty, waiting
from tests.helpers.wrong_answers import (
    DropsLifespan,
    RepeatsTheBody,
    deaf_to_a_second_signal,
    leaves_the_loser,
    left_running,
    own_task,
    spins,
)

pytestmark = [
    pytest.mark.slow("checks on a busy machine"),
    pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux lets a process have one core, and no more"
    ),
]

CROWD = 12  # processes that compute, on the one core that an examiner has


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))


@pytest.fixture(scope="module")
def crowd() -> Iterator[set[int]]:
    """Keep one core busy, and give it."""
    with busy(CROWD):
        yield one_core()


@pytest.fixture
def starved(crowd: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have examiners share the core with the crowd."""

    def pinned(*words: Any, **options: Any) -> Any:
        child = start(*words, **options)
        os.sched_setaffinity(child.pid, crowd)
        return child

    monkeypatch.setattr(exam, "start", pinned)


def double(number: int) -> int:
    return 2 * number


def triple(number: int) -> int:
    return 3 * number


def loops(number: int) -> int:
    while True:
        number += 1


async def hangs() -> None:
    import asyncio

    await asyncio.Event().wait()


@pytest.mark.parametrize(("exercise", "answer"), [(hasty, loops), (waiting, hangs)])
def test_on_a_quiet_machine_an_answer_that_never_ends_is_not_yet(
    exercise: Any, answer: Any
) -> None:
    # The best of five: other work may come between in one of them.
    assert any(exercise.check(answer).state == "not yet" for _ in range(5))


@pytest.mark.usefixtures("starved")
def test_an_answer_that_computes_for_ever_cannot_be_told_from_one_that_is_kept_from_it() -> None:
    assert hasty.check(loops).state == "not measured"


@pytest.mark.usefixtures("starved")
def test_an_answer_that_only_waits_has_lost_nothing_to_the_others() -> None:
    assert waiting.check(hangs).state == "not yet"


RIGHT = [
    (doubling, double),
    (race, unless_left),
    (middleware, Stamp),
    (finished_write, finish),
    (drained_shutdown, drain),
]
WRONG = [
    (doubling, triple),
    (race, leaves_the_loser),
    (race, spins),
    (middleware, DropsLifespan),
    (middleware, RepeatsTheBody),
    (finished_write, own_task),
    (drained_shutdown, left_running),
    (drained_shutdown, deaf_to_a_second_signal),
]


def named(it: Any) -> str:
    return str(getattr(it, "__name__", it.name if hasattr(it, "name") else it))


@pytest.mark.usefixtures("starved")
@pytest.mark.parametrize(("exercise", "answer"), RIGHT, ids=named)
def test_a_right_answer_is_right_or_not_measured(exercise: Any, answer: Any) -> None:
    assert exercise.check(answer).state in ("right", "not measured")


@pytest.mark.slow("a busy machine, twenty times")
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("starved")
@pytest.mark.parametrize(("exercise", "answer"), RIGHT, ids=named)
def test_a_right_answer_is_never_not_yet(exercise: Any, answer: Any) -> None:
    states = {exercise.check(answer).state for _ in range(20)}

    assert states <= {"right", "not measured"}


@pytest.mark.usefixtures("starved")
@pytest.mark.parametrize(("exercise", "answer"), WRONG, ids=named)
def test_an_answer_that_is_wrong_by_fact_is_not_yet(exercise: Any, answer: Any) -> None:
    assert exercise.check(answer).state == "not yet"
