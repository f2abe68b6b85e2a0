"""Verdicts reach a person whole: in the staircase, as evidence, and when they surprise."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from stages.lab.bench.bench import Bench
from stages.lab.bench.verdict import Moment, Timeline, Verdict
from stages.lab.cli import console, report
from stages.lab.cli.report import Plan
from stages.lab.clients.dialects import DIALECTS
from stages.lab.matrix.cells import Cell
from stages.lab.probes import Probe
from stages.lab.processes.targets import Target


async def measure(bench: Bench) -> Verdict:
    """Is the light green?

    Rule: it is green,
    by day and by night.
    Source: none.
    """
    raise AssertionError("nothing is measured here")


LIGHT, LAMP = Probe("light-is-green", 2, measure), Probe("lamp-is-lit", 2, measure)
S01, S02 = (
    Target(stem, f"stages.{stem}:app", DIALECTS["stages"], stem)
    for stem in ("s01_naive", "s02_json_safe")
)
OWN = Target("work/s02.py", "work/s02.py:app", DIALECTS["stages"])
PLAN = Plan([S01, S02], [LIGHT, LAMP])


def cell(
    target: Target = S01,
    probe: Probe = LIGHT,
    *,
    green: bool = False,
    expected: bool | None = False,
    finding: str = "it is not",
    details: tuple[str, ...] = ("✗ at night: dark", "✓ at noon"),
    timeline: Timeline = (),
    log: str = "",
) -> Cell:
    verdict = Verdict("green" if green else "red", finding, details, timeline)
    return Cell(target.name, probe.name, verdict, expected, 1.5, log)


def green(target: Target, probe: Probe) -> Cell:
    return cell(target, probe, green=True, expected=True)


BUSY = "not measured, this machine was busy (woken 1.4 s late): it is late"
UNSURE = Cell(S02.name, LAMP.name, Verdict("unmeasured", BUSY, ("? at night: late",)), True, 1.5)
STAIRS = [cell(), cell(probe=LAMP), green(S02, LIGHT), green(S02, LAMP)]


class Paper(io.StringIO):
    """What a console writes on; as a pipe, or as a terminal of some width."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__()
        self.console = Console(
            file=self,
            width=width,
            force_terminal=width is not None,
            markup=False,
            emoji=False,
            highlight=False,
        )

    @property
    def lines(self) -> list[str]:
        """The lines without colours and trailing blanks."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue())
        return [line.rstrip() for line in plain.splitlines()]


@pytest.fixture
def pipe() -> Paper:
    return Paper()


@pytest.fixture
def terminal() -> Paper:
    return Paper(60)


# The staircase


def test_the_staircase_has_probes_as_rows_and_stages_as_columns(pipe: Paper) -> None:
    report.staircase(pipe.console, PLAN, STAIRS)

    assert pipe.lines[:4] == [
        "                 s01 s02",
        "s02  Text and failure both arrive as data",
        "  light-is-green  ✗   ✓",
        "  lamp-is-lit     ✗   ✓",
    ]


def test_what_was_not_run_is_a_dot(pipe: Paper) -> None:
    report.staircase(pipe.console, PLAN, STAIRS[:3])

    assert "  lamp-is-lit     ✗   ·" in pipe.lines
    assert pipe.lines[-1] == "✓ holds   ✗ fails   · not run"


def test_what_was_not_measured_is_a_question_mark_and_no_surprise(pipe: Paper) -> None:
    report.staircase(pipe.console, PLAN, [*STAIRS[:3], UNSURE])

    assert "  lamp-is-lit     ✗   ?" in pipe.lines
    assert pipe.lines[-1] == "✓ holds   ✗ fails   ? not measured: this machine was busy"


def test_an_unexpected_verdict_is_marked_without_colour(pipe: Paper) -> None:
    report.staircase(pipe.console, PLAN, [cell(green=True), *STAIRS[1:]])

    assert "  light-is-green  ✓!  ✓" in pipe.lines
    assert "! not what the catalogue expects" in pipe.lines[-1]


def test_a_verdict_as_expected_is_not_explained(pipe: Paper) -> None:
    report.staircase(pipe.console, PLAN, STAIRS)

    assert pipe.lines[-1] == "✓ holds   ✗ fails"


def test_what_is_no_stage_has_a_letter_and_its_name_below(pipe: Paper) -> None:
    report.staircase(pipe.console, Plan([S02, OWN], [LIGHT]), [green(S02, LIGHT)])

    assert pipe.lines[0] == "                 s02  A"
    assert pipe.lines[-1] == "A is work/s02.py"


def test_green_and_red_have_their_colours_on_a_terminal(terminal: Paper) -> None:
    report.staircase(terminal.console, PLAN, STAIRS)

    assert "\x1b[31m✗" in terminal.getvalue()
    assert "\x1b[32m✓" in terminal.getvalue()


def test_the_staircase_fits_a_narrow_terminal() -> None:
    narrow, long = Paper(40), Probe("light-is-green-by-day-and-by-night-and-at-dawn", 2, measure)

    report.staircase(narrow.console, Plan([S01, S02], [long]), [cell(probe=long)])

    assert [line for line in narrow.lines if "light" in line] == [
        "  light-is-green-by-day-and-by-n  ✗   ·"
    ]


# The evidence


def test_each_red_verdict_is_one_line_of_evidence(pipe: Paper) -> None:
    report.evidence(pipe.console, STAIRS)

    assert pipe.lines == [
        "",
        "s01_naive  2 of 2 probes fail",
        "  ✗ light-is-green  it is not",
        "  ✗ lamp-is-lit     it is not",
    ]


def test_evidence_in_a_pipe_is_never_broken(pipe: Paper) -> None:
    report.evidence(pipe.console, [cell(finding="word " * 60 + "end")])

    assert pipe.lines[-1].endswith("end")


def test_evidence_on_a_terminal_is_wrapped_beside_its_name(terminal: Paper) -> None:
    report.evidence(terminal.console, [cell(finding="word " * 9 + "end")])

    assert terminal.lines[-1] == " " * 20 + "word end"


def test_a_finding_is_shown_as_it_stands(pipe: Paper) -> None:
    report.evidence(pipe.console, [cell(finding="got [DONE] :smile: [red]x[/red]")])

    assert pipe.lines[-1].endswith("got [DONE] :smile: [red]x[/red]")


def test_a_finding_cannot_move_the_cursor(pipe: Paper) -> None:
    report.evidence(pipe.console, [cell(finding="a\x1b[2Jb\x00c\nd\ud83d")])

    assert pipe.lines[-1].endswith(r"a\x1b[2Jb\x00c\nd\ud83d")


# Surprises


def test_a_surprise_says_what_was_expected_and_what_came(pipe: Paper) -> None:
    report.surprises(pipe.console, [cell(green=True, finding="it is")])

    assert pipe.lines[1:4] == [
        "1 verdict not as the catalogue expects",
        "  light-is-green on s01_naive: expected ✗, got ✓ it is",
        "      python -m stages probe 1 light-is-green",
    ]


def test_a_red_surprise_was_expected_to_be_green(pipe: Paper) -> None:
    report.surprises(pipe.console, [cell(S02, expected=True)])

    assert pipe.lines[2] == "  light-is-green on s02_json_safe: expected ✓, got ✗ it is not"


def test_a_surprise_says_why_it_may_be_and_what_to_do(pipe: Paper) -> None:
    report.surprises(pipe.console, [cell(green=True)])

    assert pipe.lines[-1] == (
        "  Probably the file was edited, or a library behaves in a new way. Run the line above "
        "again. If it says the same, `git diff stages` shows an edit and "
        "`python -m stages doctor` compares the versions."
    )


def test_without_a_surprise_nothing_is_said(pipe: Paper) -> None:
    report.surprises(pipe.console, STAIRS)

    assert pipe.getvalue() == ""


# What was not measured


def test_what_was_not_measured_is_told_with_its_reason_and_what_to_do(pipe: Paper) -> None:
    report.unmeasured(pipe.console, [*STAIRS, UNSURE])

    assert pipe.lines[1:4] == [
        "1 verdict not measured",
        f"  lamp-is-lit on s02_json_safe: {BUSY}",
        "      python -m stages probe 2 lamp-is-lit",
    ]
    assert pipe.lines[4].startswith("  A ? is neither ✓ nor ✗: this machine did not wake in time ")


def test_where_all_was_measured_nothing_is_said(pipe: Paper) -> None:
    report.unmeasured(pipe.console, STAIRS)

    assert pipe.getvalue() == ""


def test_the_evidence_counts_what_was_not_measured_apart(pipe: Paper) -> None:
    report.evidence(pipe.console, [cell(S02), UNSURE])

    assert pipe.lines[1] == "s02_json_safe  1 of 2 probes fail, 1 not measured"
    assert pipe.lines[3] == f"  ? lamp-is-lit     {BUSY}"


def test_a_verdict_that_was_not_measured_shows_its_cases(pipe: Paper) -> None:
    report.verdict(pipe.console, UNSURE, LAMP)

    assert pipe.lines[1] == "? lamp-is-lit"
    assert "      ? at night: late" in pipe.lines


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        (STAIRS, 0),
        ([*STAIRS[:3], UNSURE], 3),
        ([cell(green=True), UNSURE], 1),
        ([cell(OWN, green=True, expected=None), replace(UNSURE, expected=None)], 3),
        ([cell(OWN, expected=None), replace(UNSURE, expected=None)], 1),
    ],
    ids=["as expected", "unsure", "a surprise", "own, unsure", "own, red"],
)
def test_the_exit_code_tells_a_surprise_from_what_was_not_measured(
    cells: list[Cell], code: int
) -> None:
    assert report.exit_code(cells) == code


# The last line


def test_the_summary_counts_what_was_not_measured() -> None:
    told = report.summary([*STAIRS[:3], UNSURE], 17.4)

    assert told == "3 of 4 verdicts as expected, 1 not measured, in 17 s."


def test_the_summary_of_expected_verdicts() -> None:
    assert report.summary(STAIRS, 17.4) == "4 verdicts, all as expected, in 17 s."


def test_the_summary_counts_what_was_not_expected() -> None:
    cells = [cell(green=True), *STAIRS[1:]]

    assert report.summary(cells, 17.4) == "1 of 4 verdicts not as expected, in 17 s."


def test_the_summary_of_a_file_of_the_learners_own_counts_the_green_ones() -> None:
    cells = [cell(OWN, expected=None), cell(OWN, LAMP, green=True, expected=None)]

    assert report.summary(cells, 2) == "1 of 2 verdicts green, in 2 s."


# One verdict


def test_a_red_verdict_has_its_question_its_finding_its_rule_and_its_cases(pipe: Paper) -> None:
    report.verdict(pipe.console, cell(), LIGHT)

    assert pipe.lines[:9] == [
        "",
        "✗ light-is-green  as expected: s02_json_safe makes it green",
        "    Is the light green?",
        "    it is not",
        "    the rule",
        "      it is green, by day and by night.",
        "    the cases",
        "      ✗ at night: dark",
        "      ✓ at noon",
    ]


def test_a_red_verdict_has_its_timeline(pipe: Paper) -> None:
    report.verdict(pipe.console, cell(timeline=(Moment(0.25, "client", "sees\nred"),)), LIGHT)

    at = pipe.lines.index("    what happened, in the first case that fails")
    assert pipe.lines[at + 1] == r"         0.250 s  client    sees\nred"


def test_a_long_timeline_is_cut_in_the_middle(pipe: Paper) -> None:
    moments = tuple(Moment(number, "client", f"event {number}") for number in range(100))

    report.verdict(pipe.console, cell(timeline=moments), LIGHT)

    assert "                … 68 more, in --json …" in pipe.lines
    assert any(line.endswith("event 99") for line in pipe.lines)
    assert not any(line.endswith("event 50") for line in pipe.lines)


def test_a_red_verdict_has_the_end_of_the_servers_log(pipe: Paper) -> None:
    log = "".join(f"line {number}\n" for number in range(20))

    report.verdict(pipe.console, cell(log=log), LIGHT)

    assert pipe.lines[-13:-11] == ["    the end of the server's log", "      line 8"]
    assert pipe.lines[-1] == "      line 19"


def test_a_log_names_a_librarys_file_without_where_it_is_installed(pipe: Paper) -> None:
    log = '  File "/home/me/.venv/lib/python3.11/site-packages/starlette/routing.py", line 7\n'

    report.verdict(pipe.console, cell(log=log), LIGHT)

    assert pipe.lines[-1] == '        File "…/starlette/routing.py", line 7'


def test_a_server_that_wrote_nothing_is_said_to(pipe: Paper) -> None:
    report.verdict(pipe.console, cell(), LIGHT)

    assert pipe.lines[-1] == "      it wrote nothing"


def test_a_green_verdict_is_short(pipe: Paper) -> None:
    report.verdict(pipe.console, green(S02, LIGHT), LIGHT)

    assert pipe.lines == ["", "✓ light-is-green", "    Is the light green?", "    it is not"]


def test_an_unexpected_green_shows_its_evidence(pipe: Paper) -> None:
    report.verdict(pipe.console, cell(green=True, log="hm"), LIGHT)

    assert pipe.lines[1] == "✓! light-is-green  not expected: it should be red"
    assert pipe.lines[-1] == "      hm"


def test_a_red_verdict_of_a_wrong_turn_is_as_expected(pipe: Paper) -> None:
    turn = Target("s02_error_text", "", DIALECTS["stages"], "s02_error_text")

    report.verdict(pipe.console, cell(turn), LIGHT)

    assert pipe.lines[1] == "✗ light-is-green  as expected"


def test_a_red_verdict_of_a_learners_file_is_not_judged(pipe: Paper) -> None:
    report.verdict(pipe.console, cell(OWN, expected=None), LIGHT)

    assert pipe.lines[1] == "✗ light-is-green"


# How text is printed


def test_a_console_prints_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    console.console().print("[red]x[/red] :smile: 42")

    assert capsys.readouterr().out == "[red]x[/red] :smile: 42\n"


# Where results are written


def test_a_result_cannot_be_written_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        console.UsageError, match=r"is in a folder that does not exist\. Give another"
    ):
        console.can_write(str(tmp_path / "none" / "x.json"))


def test_a_result_cannot_be_written_over_a_folder(tmp_path: Path) -> None:
    with pytest.raises(
        console.UsageError, match=r"cannot be written: .* is a folder\. Give another"
    ):
        console.can_write(str(tmp_path))


def test_a_result_cannot_be_written_where_writing_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere

    with pytest.raises(console.UsageError, match=r"x\.json is not writable\. Give another"):
        console.can_write(str(tmp_path / "x.json"))


def test_the_ending_of_a_picture_says_its_format(tmp_path: Path) -> None:
    with pytest.raises(console.UsageError, match=r"does not end in \.svg or \.png, so its format"):
        console.can_write(str(tmp_path / "x.jpeg"), ".svg", ".png")


def test_a_new_file_and_stdout_can_be_written(tmp_path: Path) -> None:
    console.can_write(str(tmp_path / "x.json"))
    console.can_write("-", ".svg")
