"""`exercise`, `check` and `progress`: the course in a terminal, for somebody who builds it."""

import re
import shutil
import signal
from pathlib import Path

import pytest

from stages.lab.checks import all_exercises
from stages.lab.cli.exercise import _commands
from stages.lab.exercises import progress
from stages.lab.exercises.build import Build
from stages.lab.exercises.outcome import Outcome
from tests.helpers.commands import Command, alive, descendants, started
from tests.helpers.places import ROOT


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))
    return tmp_path


def stage_as(stem: str, path: Path) -> None:
    shutil.copy(ROOT / "stages" / f"{stem}.py", path)


def test_an_exercise_puts_the_previous_stage_into_the_folder(command: Command, work: Path) -> None:
    ended = command("exercise", "4")  # a latecomer, who has done neither 2 nor 3

    assert ended.code == 0
    assert (work / "s04.py").read_text().startswith("# Stage 4, yours to build.")
    assert "  python -m stages check 4 " in ended.out


def test_an_exercise_that_is_there_is_kept(command: Command, work: Path) -> None:
    (work / "s04.py").write_text("mine")

    ended = command("exercise", "4")

    assert ended.code == 0
    assert "stays as it is" in ended.out
    assert (work / "s04.py").read_text() == "mine"


def test_an_exercise_can_be_begun_anew_and_loses_nothing(command: Command, work: Path) -> None:
    (work / "s04.py").write_text("mine")

    ended = command("exercise", "4", "--overwrite")

    assert "Your earlier file is" in ended.out
    assert (work / "s04.kept-1.py").read_text() == "mine"


@pytest.mark.parametrize("number", ["0", "1", "7"])
@pytest.mark.parametrize("name", ["exercise", "check"])
def test_a_stage_that_is_not_built_is_wrong_usage(command: Command, name: str, number: str) -> None:
    ended = command(name, number)

    assert ended.code == 2
    assert ended.err == (
        f"Error: There is no stage {number} to build. You build stages 2 to 6, each from the one "
        "before it: python -m stages exercise 2\n"
    )


def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(
    command: Command, work: Path
) -> None:
    work.rmdir()
    work.write_text("")

    ended = command("exercise", "2")

    assert ended.code == 1
    assert re.match(r"Error: .*s02\.py could not be written: ", ended.err)


def test_a_check_without_a_file_says_how_to_get_one(command: Command) -> None:
    ended = command("check", "3")

    assert ended.code == 1
    assert re.fullmatch(
        r"· build: not attempted\. There is no .*/s03\.py yet: python -m stages exercise 3\n",
        ended.out,
    )


def test_a_check_of_an_unknown_probe_says_what_there_is(command: Command) -> None:
    ended = command("check", "3", "nothing")

    assert (ended.code, ended.err[:43]) == (2, "Error: There is no probe 'nothing'. There a")


def test_a_check_of_a_file_with_a_mistake_in_it_points_at_it(command: Command, work: Path) -> None:
    (work / "s03.py").write_text("def f(:\n")

    ended = command("check", "3")

    assert ended.code == 1
    assert "SyntaxError: invalid syntax" in ended.out
    assert ended.err == ""


def test_a_check_reports_as_a_tour_does(command: Command, work: Path) -> None:
    stage_as("s02_json_safe", work / "s03.py")

    ended = command("check", "3", "usage-chunk-survives", "leave-before-headers")

    assert ended.code == 1
    assert re.search(r"\n\d/2 ✓ usage-chunk-survives on ", ended.out)
    assert re.search(r"\n  leave-before-headers +✗", ended.out)
    assert "✗ build: not yet. 1 of 2 probes is red.\n" in ended.out
    assert ended.out.endswith(
        f"  python -m stages probe {work}/s03.py leave-before-headers  "
        "all its cases, the timeline, the log\n"
    )


def test_a_probe_to_look_at_is_taken_from_the_outcome_and_not_from_its_text() -> None:
    build = next(one for one in all_exercises() if isinstance(one, Build))
    told = (("first", "leave-mid-stream: does the upstream end?"),)

    named = _commands(build, Outcome("not yet", "build", "", probe="text-survives"))

    assert [command.split()[-1] for command in named] == ["text-survives"]
    assert _commands(build, Outcome("not yet", "build", "", told)) == {}


def test_a_check_that_is_right_is_noted_and_leads_on(command: Command, work: Path) -> None:
    stage_as("s02_json_safe", work / "s02.py")

    ended = command("check", "2")

    assert ended.code == 0
    assert "✓ build: right. All 9 probes up to stage 2 are green.\n" in ended.out
    assert "  python -m stages progress " in ended.out
    assert "✓ build" in command("progress").out


@pytest.mark.slow("an interrupt of a check")
def test_ctrl_c_in_a_check_says_how_far_it_came_and_leaves_no_process(work: Path) -> None:
    stage_as("s02_json_safe", work / "s02.py")
    with started("check", "2", STAGES_WORK=str(work)) as running:
        running.wait_for(r"1/9 ")
        helpers = descendants(running.pid)

        code = running.end(signal.SIGINT)

    assert code == 130
    assert re.search(r"\nInterrupted after \d of 9 probes\. Every server ", running.printed)
    assert helpers
    assert alive(helpers) == set()


def test_progress_lists_every_exercise_with_its_minutes(command: Command) -> None:
    out = command("progress").out

    lines = [line for line in out.splitlines() if line.startswith("  · ")]
    assert [line.split()[1] for line in lines] == [one.name for one in all_exercises()]
    assert all(re.search(r" \d+ min  (easy|medium|hard)$", line) for line in lines)
    assert f"\n0 of {len(lines)} have been right.\n" in out


def test_progress_says_what_is_next(command: Command) -> None:
    first, *others = [one.key for one in all_exercises()]
    progress.keep(first)

    out = command("progress").out

    assert f"\n1 of {len(others) + 1} have been right.\n" in out
    assert f"notebooks/{others[0].partition('/')[0]}.ipynb" in out


def test_who_began_in_the_middle_goes_on_there(command: Command) -> None:
    progress.keep("s04_backpressured/controller")

    assert "the exercise draining in notebooks/s04_backpressured.ipynb" in command("progress").out


def test_progress_without_anything_left_has_no_next(command: Command) -> None:
    for one in all_exercises():
        progress.keep(one.key)

    out = command("progress").out

    assert "Next" not in out
    assert "·" not in out


def test_progress_that_is_damaged_is_explained(command: Command, work: Path) -> None:
    (work / "progress.json").write_text("{")

    ended = command("progress")

    assert ended.code == 1
    assert ended.err.startswith(f"Error: The progress in {work}/progress.json cannot be read: ")


def test_progress_can_be_reset_and_keeps_the_files(command: Command, work: Path) -> None:
    (work / "s02.py").write_text("mine")
    progress.keep("s02_json_safe/build")

    ended = command("progress", "--reset")

    assert ended.out == f"Forgotten: 1 exercise. Your files in {work}/ stay.\n"
    assert progress.right() == []
    assert (work / "s02.py").exists()
