"""On a busy machine a check says that nothing was measured, where the answer was late and no more.

What is wrong by fact is *not yet* however busy the machine is. Here the machine is busy by word; in
`tests/lab/checks/test_busy.py` it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stages.lab.bench.verdict import PART
from stages.lab.exercises import exam, examiner
from stages.lab.exercises.attempt import calling
from stages.lab.exercises.exam import Ended
from stages.lab.exercises.examiner import Watch
from stages.lab.exercises.outcome import NotYet, Outcome
from stages.lab.exercises.toll import Toll
from stages.lab.matrix.cells import AGAIN
from stages.lab.processes.process import ProcessError
from tests.helpers.sample_checks import RULE, doubling, short

BOUND_S = 3.0
QUIET_S, BUSY_S = PART * BOUND_S - 0.1, PART * BOUND_S + 0.1  # what the machine took of it
LATE = NotYet("double(21)", "nothing, 3 s later", "42", RULE, within_s=BOUND_S)
WRONG = NotYet("double(21)", "23", "42", RULE)


class Says(Toll):
    """A toll that is what it is told to be, and notes which time it was asked for."""

    def __init__(self, taken_s: float) -> None:
        self._said_s, self.asked = taken_s, list[tuple[float, float | None]]()

    def __exit__(self, *exc: object) -> None: ...

    def taken_s(self, since_s: float, until_s: float | None = None) -> float:
        self.asked.append((since_s, until_s))
        return self._said_s


@contextmanager
def watching(judge: Any, toll: Toll, deadline_s: float = 1e6) -> Iterator[Watch]:
    watch = Watch(short("doubling", "double", judge, deadline_s), -1, toll)
    watch.timer.cancel()  # it ends the process
    yield watch


def judged(raised: Exception, taken_s: float) -> Outcome:
    """Return what a check says whose judge raises this, where the machine took so much."""

    def judge(answer: Any) -> str:
        raise raised

    with watching(judge, Says(taken_s)) as watch:
        return watch.judge(None)


def test_what_is_late_on_a_busy_machine_is_not_measured() -> None:
    assert repr(judged(LATE, BUSY_S)) == (
        "? doubling: not measured. This machine was too busy to tell. Try again.\n"
        "  called  double(21)\n"
        "  got     nothing, 3 s later (this machine was busy for 1.6 s)\n"
        "  do      Close what keeps this machine busy, and check again. "
        "It is neither right nor wrong."
    )


@pytest.mark.parametrize("taken_s", [0.0, QUIET_S])
def test_what_is_late_on_a_quiet_machine_is_not_yet(taken_s: float) -> None:
    assert judged(LATE, taken_s).state == "not yet"


def test_what_is_wrong_by_fact_is_not_yet_however_busy_the_machine_is() -> None:
    assert judged(WRONG, 1e6).state == "not yet"


def test_what_counts_is_what_was_taken_from_the_call_to_the_complaint() -> None:
    def judge(answer: Any) -> str:
        with calling("first()", "", ""):
            began_s.append(NotYet("", "", "", "").said_s)
        with calling("second()", "", ""):
            found.append(NotYet("second()", "", "", "", within_s=BOUND_S))
            raise found[0]

    began_s, found, toll = list[float](), list[NotYet](), Says(0.0)
    with watching(judge, toll) as watch:
        watch.judge(None)

    [(since_s, until_s)] = toll.asked
    assert began_s[0] <= since_s <= found[0].said_s == until_s


@pytest.mark.parametrize("helper", [ProcessError("not ready"), TimeoutError()])
@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])
def test_a_helper_of_the_check_that_is_late_on_a_busy_machine_is_no_fault(
    helper: Exception, grouped: bool
) -> None:
    outcome = judged(ExceptionGroup("", [helper]) if grouped else helper, 1e6)

    assert outcome.state == "not measured"
    assert "a helper of the check was late" in repr(outcome)


@pytest.mark.parametrize(("raised", "taken_s"), [(ProcessError(), 0.0), (KeyError(), 1e6)])
def test_a_judge_that_fails_for_another_reason_fails_on_a_busy_machine_too(
    raised: Exception, taken_s: float
) -> None:
    with pytest.raises(type(raised)):
        judged(raised, taken_s)


@pytest.mark.parametrize(
    ("taken_s", "state", "guess"), [(0.9, "not yet", True), (1.1, "not measured", False)]
)
def test_a_check_whose_deadline_the_machine_has_used_up_is_not_measured(
    taken_s: float, state: str, guess: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[Outcome]()
    with watching(None, Says(taken_s), 2.0) as watch:
        monkeypatch.setattr(watch, "tell", told.append)
        watch._is_late()

    assert told[0].state == state
    assert "nothing, 2 s after the check began" in repr(told[0])
    assert (examiner.GUESS in repr(told[0])) is guess


# The side of whoever waits for the examiner


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))
    return tmp_path


def held(monkeypatch: pytest.MonkeyPatch, *states: Any) -> list[Any]:
    """Have exams end in these states, one after the other; returns those that are left."""
    left = [Ended(Outcome(state, "doubling", ""), 0, "") for state in states]
    monkeypatch.setattr(exam, "hold", lambda *words: left.pop(0))
    return left


def double(number: int) -> int:
    return 2 * number


def test_a_check_that_was_not_measured_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    held(monkeypatch, "not measured", "right")

    assert doubling.check(double).state == "right"


def test_a_check_that_is_never_measured_is_given_up_and_nothing_is_noted(
    monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    left = held(monkeypatch, *["not measured"] * (AGAIN + 1), "right")

    assert doubling.check(double).state == "not measured"
    assert len(left) == 1
    assert not (work / "progress.json").exists()


def test_a_wrong_answer_is_not_yet_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    left = held(monkeypatch, "not yet", "right")

    assert doubling.check(double).state == "not yet"
    assert len(left) == 1


def test_an_examiner_that_does_not_get_ready_on_a_busy_machine_has_measured_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exam, "START_S", 0.0)
    monkeypatch.setattr(exam, "Toll", lambda processes: Says(1e6))

    outcome = doubling.check(double)

    assert outcome.state == "not measured"
    assert "the process of the check was not ready (this machine was busy" in repr(outcome)


def test_an_examiner_that_does_not_get_ready_on_a_quiet_machine_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exam, "START_S", 0.001)
    monkeypatch.setattr(exam, "Toll", lambda processes: Says(0.0))

    assert "the process of the check was not ready. Probably" in repr(doubling.check(double))


@pytest.mark.parametrize(("taken_s", "state"), [(0.0, "not yet"), (1e6, "not measured")])
def test_an_examiner_that_misses_its_own_deadline_is_not_waited_for(
    taken_s: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exam, "END_S", 0.0)
    monkeypatch.setattr(exam, "Toll", lambda processes: Says(taken_s))

    outcome = short("hasty", "double", doubling.judge, 0.3).check(holds_the_interpreter)

    assert outcome.state == state
    assert "nothing, 0.3 s after the check began" in repr(outcome)


def holds_the_interpreter(number: int) -> int:
    return sum(range(10**12))
