"""`tour` measures every stage, live; what was measured is told also when it ends early."""

import json
import re
import signal
from pathlib import Path

import pytest

from stages import catalog
from stages.lab.matrix.cells import ProbeBroken
from tests.helpers.commands import COLOUR, Command, alive, descendants, gone, started
from tests.helpers.lab import FAST, PROBES, Lab


def test_a_tour_as_expected_ends_with_0_and_says_so(command: Command, lab: Lab) -> None:
    ended = command("tour")

    count = len(PROBES) * len(catalog.STAGES)
    assert ended.code == 0
    assert re.search(rf"\n{count} verdicts, all as expected, in \d+ s\.\n", ended.out)


def test_a_tour_visits_every_stage(command: Command, lab: Lab) -> None:
    command("tour")

    assert [target.stem for target in lab.asked] == [stage.stem for stage in catalog.STAGES]


def test_a_tour_visits_what_is_named_and_each_once(command: Command, lab: Lab) -> None:
    command("tour", "2", "s02_error_text", "2")

    assert [target.stem for target in lab.asked] == ["s02_json_safe", "s02_error_text"]


def test_a_tour_of_a_learners_file_with_a_red_probe_ends_with_1(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").touch()

    ended = command("tour", str(tmp_path / "mine.py"))

    assert ended.code == 1


def test_a_tour_in_a_pipe_tells_each_verdict_as_it_comes(command: Command, lab: Lab) -> None:
    out = command("tour", "1").out

    assert re.search(rf"\n *1/{len(PROBES)} ✗ text-survives on s01_naive, 0\.1 s\n", out)


def test_a_tour_ends_with_the_staircase(command: Command, lab: Lab) -> None:
    lines = [line.rstrip() for line in command("tour", "1", "2").out.splitlines()]

    row = next(line for line in lines if line.startswith("  text-survives "))
    assert row.split() == ["text-survives", "✗", "✓"]


def test_a_tour_has_a_line_of_evidence_for_each_red_verdict(command: Command, lab: Lab) -> None:
    out = command("tour", "1").out

    assert re.search(r"\n  ✗ text-survives +of text-survives\n", out)


def test_a_tour_says_where_to_go_next(command: Command, lab: Lab) -> None:
    out = command("tour", "1", "2").out

    assert re.search(r"\n  python -m stages probe 1 text-survives +one ✗ with its evidence\n", out)
    assert re.search(r"\n  python -m stages diff 1 2 +the fix, in colour\n", out)
    assert re.search(r"\n  make lab +the notebooks, from s00 on\n$", out)


def test_a_tour_with_a_surprise_ends_with_1_and_explains_it(command: Command, lab: Lab) -> None:
    lab.wrong = (FAST,)

    ended = command("tour", "2")

    assert ended.code == 1
    assert f"  {FAST} on s02_json_safe: expected ✓, got ✗ of {FAST}\n" in ended.out


def test_a_surprise_is_seen_while_the_tour_goes_on(command: Command, lab: Lab) -> None:
    lab.wrong = (FAST,)

    out = command("tour", "2").out

    assert f"✗! {FAST} on s02_json_safe, 0.1 s  NOT AS EXPECTED\n" in out


def test_the_result_of_a_tour_can_be_kept_as_json(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    ended = command("tour", "1", "--json", str(tmp_path / "tour.json"))

    assert f"\nEvery verdict with its evidence is in {tmp_path}/tour.json\n" in ended.out
    cells = json.loads((tmp_path / "tour.json").read_text())
    assert [cell["probe"] for cell in cells] == PROBES
    assert cells[0]["verdict"]["finding"] == "of text-survives"


def test_json_on_stdout_is_alone_there(command: Command, lab: Lab) -> None:
    ended = command("tour", "1", "--json", "-")

    assert len(json.loads(ended.out)) == len(PROBES)
    assert "all as expected" in ended.err


def test_the_staircase_can_be_drawn(command: Command, lab: Lab, tmp_path: Path) -> None:
    picture = tmp_path / "staircase.svg"

    ended = command("tour", "--picture", str(picture))

    assert "<svg" in picture.read_text()
    assert f"The staircase is drawn in {picture}\n" in ended.out


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    command: Command, lab: Lab
) -> None:
    ended = command("tour", "--picture", "staircase.doc")

    assert (ended.code, lab.asked) == (2, ())
    assert ended.err.startswith("Error: staircase.doc does not end in .svg or .png or .pdf, so ")


def test_a_tour_that_breaks_off_shows_what_was_measured(command: Command, lab: Lab) -> None:
    lab.failure, lab.fails_after = ProbeBroken("The probe x gave no verdict."), 3

    lines = [line.rstrip() for line in command("tour", "1").out.splitlines()]

    rows = [
        line.split()[-1] for line in lines if line.startswith("  ") and line.split()[0] in PROBES
    ]
    assert rows[:3] == ["✗", "✗", "✗"]
    assert rows[3:] == ["·"] * (len(PROBES) - 3)


def test_ctrl_c_ends_a_tour_with_what_was_measured_and_leaves_no_process() -> None:
    with started("tour", "2") as running:
        running.wait_for(rf"\d/{len(PROBES)} ✓ text-survives on s02_json_safe")
        helpers = descendants(running.pid)

        code = running.end(signal.SIGINT)

    assert code == 130
    assert re.search(
        rf"Interrupted after \d of {len(PROBES)} experiments\. Every server has been ended\.\s*$",
        running.printed,
    )
    assert re.search(r"\n  text-survives +✓", running.printed)
    assert len(helpers) >= 2  # the lanes, and what each has started
    assert alive(helpers) == set()


def test_a_tour_on_a_terminal_says_what_runs_now() -> None:
    with started("tour", "2", columns=100) as running:
        running.wait_for("text-survives on s02_json_safe: Does every text arrive as the model")

        code = running.end(signal.SIGINT)

    assert code == 130


def test_colours_in_a_pipe_bring_no_moving_parts(
    command: Command, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    out = command("tour").out

    assert COLOUR.search(out)
    assert "\x1b[?25l" not in out  # what hides the cursor before the first frame


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow("an interrupt of a tour")
def test_a_tour_that_ends_early_leaves_no_process(number: signal.Signals) -> None:
    with started("tour", "1", "2") as running:
        running.wait_for("1/")
        helpers = descendants(running.pid)

        running.end(number)

    assert helpers
    assert gone(helpers)
