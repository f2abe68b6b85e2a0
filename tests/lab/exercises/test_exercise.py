"""A check answers, whatever it is handed: a stub, a wrong answer, an endless loop, an exit.

The sample exercises and their judges are in `sample_checks`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from stages.lab.checks.s01_naive import parser
from stages.lab.checks.s03_disconnect_aware import race
from stages.lab.exercises import exam
from stages.lab.exercises.exercise import CheckBroken, Exercise
from stages.lab.processes.start import start
from tests.helpers.commands import descendants, gone
from tests.helpers.places import ROOT
from tests.helpers.sample_checks import broken, deep, doubling, eager, hasty, short, waiting
from tests.helpers.until import until


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))
    return tmp_path


def right(number: int) -> int:
    return number * 2


def stub(number: int) -> int:  # type: ignore[empty-body]  # as in a notebook
    """Return twice a number."""
    ...


def raises(number: int) -> int:
    print("about to raise")
    return number["x"]  # type: ignore[index,no-any-return]  # it is the mistake


def loops(number: int) -> int:
    while True:
        number += 1


def leaves(number: int) -> int:
    os._exit(7)


def imitates(number: int) -> int:
    print("Traceback (most recent call last):", flush=True)
    os._exit(1)


def exits(number: int) -> int:
    raise SystemExit(3)


async def hangs() -> None:
    import asyncio

    await asyncio.Event().wait()


@asynccontextmanager
async def hanging() -> AsyncIterator[None]:
    import asyncio

    await asyncio.Event().wait()
    yield


async def hangs_in_a_context() -> None:
    async with hanging():
        pass


async def raises_in_a_group() -> None:
    import asyncio

    async with asyncio.TaskGroup() as group:
        group.create_task(fails())


async def fails() -> None:
    raise ValueError("from a task")


def unsendable(opened: IO[str]) -> Callable[[int], int]:
    def double(number: int) -> int:
        opened.write(str(number))
        return number

    return double


def test_a_stub_is_not_attempted_and_the_learner_is_told_what_to_do() -> None:
    outcome = doubling.check(stub)

    assert repr(outcome) == (
        "· doubling: not attempted. Write double in place of its `...`, then run both cells again. "
        "doubling.hint() helps."
    )


def test_a_right_answer_is_right_and_says_what_held() -> None:
    assert repr(doubling.check(right)) == "✓ doubling: right. 21 became 42."


def test_a_right_answer_is_noted(work: Path) -> None:
    doubling.check(right)

    assert "s01_naive/doubling" in (work / "progress.json").read_text()


def test_a_wrong_answer_is_not_noted(work: Path) -> None:
    doubling.check(lambda number: number + 2)

    assert not (work / "progress.json").exists()


def test_a_wrong_answer_shows_the_call_what_came_what_was_expected_and_the_rule() -> None:
    outcome = doubling.check(lambda number: number + 2)

    assert repr(outcome) == (
        "✗ doubling: not yet.\n"
        "  called    double(21)\n"
        "  got       23\n"
        "  expected  42\n"
        "  rule      Twice a number is that number twice."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raises, "got       TypeError: 'int' object is not subscriptable"),
        (raises, ': return number["x"]'),
        (raises, "printed   about to raise"),
        (exits, "got       SystemExit: 3"),
        (leaves, "got     the process of the check ended with exit code 7"),
        (right(2), "got     4, which is no function and no class"),
        (right(2), "Hand over double itself, and not a call of it."),
    ],
)
def test_what_goes_wrong_in_the_learners_code_is_explained(answer: object, words: str) -> None:
    outcome = doubling.check(answer)

    assert outcome.state == "not yet"
    assert words in repr(outcome)


def test_an_answer_that_uses_an_open_file_of_the_notebook_cannot_be_sent() -> None:
    with Path(os.devnull).open("w") as opened:
        told = repr(doubling.check(unsendable(opened)))

    assert "an answer makes for itself what it needs" in told


def test_a_check_without_an_answer_says_what_to_hand_over() -> None:
    assert "Hand over double itself" in repr(doubling.check())


def test_an_exercise_itself_gives_no_hint_away() -> None:
    assert repr(doubling) == (
        "doubling: 1 minutes, easy. Call doubling.check(…), doubling.hint() or doubling.solution()."
    )


def test_an_async_answer_where_none_is_asked_for_is_noted() -> None:
    async def parse(chunks: object) -> list[object]:
        return []

    told = repr(parser.check(parse))  # the sample exercises have no solution

    assert "  note      The stub is a plain `def parse`, and this is an `async def`." in told


def test_a_plain_answer_where_an_async_one_is_asked_for_is_noted() -> None:
    def unless_left(call: object, left: object) -> None:
        print("called")

    told = repr(race.check(unless_left))

    assert "The stub is an `async def unless_left`, and this is a plain `def`." in told


def test_an_endless_loop_is_ended_and_its_line_shown() -> None:
    told = repr(hasty.check(loops))

    assert "nothing, 0.5 s after the check began. Probably it loops for ever" in told
    assert ": number += 1" in told or ": while True:" in told


@pytest.mark.parametrize("answer", [hangs, hangs_in_a_context])
def test_code_that_waits_for_ever_is_ended_and_its_line_shown(answer: Any) -> None:
    told = repr(waiting.check(answer))

    assert ": await asyncio.Event().wait() (it waits there)" in told


def test_what_a_task_of_the_learners_raises_is_shown_and_that_a_group_came_out() -> None:
    told = repr(waiting.check(raises_in_a_group))

    assert "got       ValueError: from a task (in an ExceptionGroup)" in told
    assert ': raise ValueError("from a task")' in told


def test_what_a_judge_catches_too_late_is_the_learners_all_the_same() -> None:
    told = repr(eager.check(raises))

    assert "got       TypeError: 'int' object is not subscriptable" in told


def test_a_judge_that_fails_is_the_fault_of_the_lab() -> None:
    with pytest.raises(CheckBroken, match=r"fault of the lab(.|\n)*KeyError: 'no judge"):
        broken.check(right)


def test_a_judge_that_fails_deep_down_is_the_fault_of_the_lab_also_when_its_log_is_cut() -> None:
    with pytest.raises(CheckBroken, match=r"RecursionError") as caught:
        deep.check(right)

    assert "Traceback" not in str(caught.value)


def test_an_examiner_that_does_not_even_start_is_the_fault_of_the_lab(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def elsewhere(words: list[str], **options: Any) -> Any:
        return start(["stages.lab.exercises.nowhere", *words[1:]], **options)

    monkeypatch.setattr(exam, "start", elsewhere)

    with pytest.raises(CheckBroken, match=r"fault of the lab(.|\n)*No module named .*nowhere"):
        doubling.check(right)


def test_an_answer_that_ends_the_process_as_a_traceback_does_is_not_the_fault_of_the_lab() -> None:
    told = repr(doubling.check(imitates))

    assert "got     the process of the check ended with exit code 1" in told


def test_a_check_runs_on_a_loop_that_no_notebook_has_patched() -> None:
    code = (
        "import nest_asyncio; from tests.helpers import sample_checks; nest_asyncio.apply()\n"
        "async def loop():\n"
        "    import asyncio\n"
        "    print(hasattr(asyncio, '_nest_patched'))\n"
        "print(sample_checks.waiting.check(loop))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert "right. It ended.\n  printed  False" in ended.stdout


def test_progress_that_cannot_be_kept_costs_no_verdict(work: Path) -> None:
    (work / "progress.json").write_text("{")

    outcome = doubling.check(right)

    assert outcome.state == "right"
    assert "progress  The progress in" in repr(outcome)


INTERRUPTED = """
import subprocess, sys
from tests.helpers import sample_checks
def loops(number):
    subprocess.Popen(["sleep", "1000"])
    print("loops", flush=True)
    while True:
        pass
try:
    sample_checks.short("doubling", "double", sample_checks.judge_double, 100.0).check(loops)
except KeyboardInterrupt:
    print("interrupted")
    print(sample_checks.doubling.check(lambda number: 2 * number), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_check_leaves_nothing_running(number: signal.Signals) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        text=True,
    )
    signal.signal(signal.SIGINT, handler)
    helpers = until(
        lambda: descendants(process.pid),
        lambda found: len(found) >= 2,
        "examiner with what the answer starts",
    )

    process.send_signal(number)
    told, _ = process.communicate(timeout=30)

    assert gone(helpers)
    if number == signal.SIGINT:
        assert told == "interrupted\n✓ doubling: right. 21 became 42.\n"


def test_hints_rise_to_the_third_and_stay_there() -> None:
    exercise: Exercise = short("fresh", "double", None)

    told = [repr(exercise.hint()) for _ in range(4)]

    assert told == [
        "Hint 1, 2 more. Think of a number.",
        "Hint 2, 1 more. Two of them.",
        "Hint 3, the last; then solution() shows ours. number * 2",
        "Hint 3, the last; then solution() shows ours. number * 2",
    ]


def test_a_hint_can_be_asked_for_by_its_number() -> None:
    assert repr(doubling.hint(2)) == "Hint 2, 1 more. Two of them."


@pytest.mark.parametrize("number", [0, 4])
def test_a_hint_that_there_is_not_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=rf"There is no hint {number}\. There are 3"):
        doubling.hint(number)
