"""`python -m stages` says what there is, runs it, shows the evidence, and leaves nothing behind."""

import json
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages import catalog
from stages.__main__ import main
from stages.lab import diffs, probes
from stages.lab.bench.verdict import Verdict
from stages.lab.cli import listing
from stages.lab.matrix import cells, lanes
from stages.lab.matrix.cells import Cell, OnCell, ProbeBroken
from stages.lab.processes.process import ProcessError
from stages.lab.processes.targets import Target
from tests.helpers.commands import (
    Command,
    alive,
    descendants,
    gone,
    in_process,
    on_terminal,
    started,
)
from tests.helpers.places import ROOT

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
PROBES = [probe.name for probe in probes.all_probes()]
FAST = "usage-chunk-survives"  # takes 0.1 s, red on stage 1, green on stage 2


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return in_process(capsys, monkeypatch)


# The list


@pytest.fixture
def listed(command: Command, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list of stages, so wide that nothing is wrapped."""
    monkeypatch.setenv("COLUMNS", "300")
    return [" ".join(line.split()) for line in command().out.splitlines()]


def test_without_a_command_every_stage_is_listed_with_its_claim_and_its_fix(
    listed: list[str],
) -> None:
    for stage in catalog.STAGES:
        at = next(i for i, line in enumerate(listed) if line.startswith(f"{stage.number} "))
        assert listed[at].startswith(f"{stage.number} {stage.stem} {stage.title} ")
        assert listed[at + 1] == stage.fix


def test_the_list_has_the_size_of_each_diff(listed: list[str]) -> None:
    size = diffs.size("s01_naive", "s02_json_safe")

    assert any(line.startswith("2 s02_json_safe") and line.endswith(f" {size}") for line in listed)


def test_the_list_has_every_wrong_turn_with_the_probes_that_it_fails(listed: list[str]) -> None:
    for turn in catalog.WRONG_TURNS:
        at = next(i for i, line in enumerate(listed) if line.startswith(turn.stem))
        assert listed[at].startswith(f"{turn.stem} {turn.mistake} ")
        assert listed[at + 1] == f"✗ {', '.join(turn.fails)}"


def test_the_list_says_what_to_type_next(command: Command) -> None:
    out = command().out

    assert "  python -m stages tour        every probe on every stage, and the staircase\n" in out


def test_a_pipe_gets_plain_text(command: Command) -> None:
    assert "\x1b" not in command().out


def test_a_terminal_gets_colours() -> None:
    assert COLOUR.search(on_terminal())


def test_no_color_is_honoured() -> None:
    assert not COLOUR.search(on_terminal(NO_COLOR="1"))


def test_the_list_fits_a_narrow_terminal() -> None:
    printed = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(columns=60))

    table = printed.partition("Next")[0].splitlines()
    assert max(len(line.rstrip()) for line in table) <= 60


def test_the_list_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "{'asyncio', 'fastapi', 'httpx', 'matplotlib', 'openai', 'uvicorn'}"
    code = f"import sys, stages.__main__, stages.lab.cli.listing; print({heavy} & {{*sys.modules}})"

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    )

    assert ran.stdout == "set()\n"


def test_an_encoding_without_the_marks_gets_their_numbers() -> None:
    with started("diff", "1", "1", PYTHONIOENCODING="ascii") as running:
        code = running.end()

    assert (code, running.printed) == (0, "s01_naive \\u2192 s01_naive: no line differs.\n")


# Wrong usage and other errors


def test_an_unknown_stage_is_wrong_usage_and_says_what_there_is(command: Command) -> None:
    ended = command("probe", "9")

    assert ended.code == 2
    assert ended.err.startswith("Error: '9' is no stage and no file. Stages: 1 (s01_naive), ")


def test_an_unknown_probe_is_wrong_usage_and_says_what_there_is(command: Command) -> None:
    ended = command("probe", "1", "nonsense")

    assert ended.code == 2
    assert ended.err.startswith("Error: There is no probe 'nonsense'. There are: text-survives, ")


def test_an_unknown_dialect_is_wrong_usage_and_says_what_there_is(command: Command) -> None:
    ended = command("probe", "1", "--dialect", "martian")

    assert (ended.code, ended.err) == (
        2,
        "Error: There is no dialect 'martian'. There are: stages, plain, escaped.\n",
    )


def test_an_unknown_command_is_wrong_usage_and_says_what_was_meant(command: Command) -> None:
    ended = command("prob")

    assert ended.code == 2
    assert "No such command 'prob'. Did you mean 'probe'?" in ended.err


def test_help_names_every_command(command: Command) -> None:
    out = command("--help").out

    for name in ("tour", "run", "probe", "diff", "upstream", "doctor"):
        assert f" {name} " in out


def test_a_python_without_the_packages_is_told_how_to_get_them() -> None:
    ran = subprocess.run(  # -S: without site-packages
        [sys.executable, "-S", "-m", "stages"],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
    )

    assert (ran.returncode, ran.stderr) == (
        1,
        f"The package rich is not installed in {sys.executable}. Probably the kit's own Python is "
        "not active: `make tour` makes it in .venv; then use .venv/bin/python.\n",
    )


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("uvicorn.config", f"The package uvicorn is not installed in {sys.executable}. Probably "),
        ("fcntl", "This is Windows, and the servers here need Unix. Work in WSL."),
    ],
)
def test_a_package_that_a_command_misses_is_told_too(
    command: Command, monkeypatch: pytest.MonkeyPatch, module: str, told: str
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(listing, "stages", missing)

    ended = command()

    assert ended.code == 1
    assert ended.err.startswith(f"Error: {told}")


def test_a_module_of_ours_that_is_missing_keeps_its_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'stages.x'", name="stages.x")

    monkeypatch.setattr(listing, "stages", missing)
    monkeypatch.setattr(sys, "argv", ["stages"])

    with pytest.raises(ModuleNotFoundError):
        main()


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))

    with pytest.raises(SystemExit, match=r"This is Python 3\.9, and the kit needs 3\.11 or newer"):
        runpy.run_path(str(ROOT / "stages" / "__main__.py"), run_name="__main__")


# diff


def test_a_diff_in_a_pipe_is_plain_behind_one_line_with_its_size(command: Command) -> None:
    ended = command("diff", "2", "s02_done_in_finally")

    size = diffs.size("s02_json_safe", "s02_done_in_finally")
    assert ended.code == 0
    assert ended.out == (
        f"s02_json_safe → s02_done_in_finally: {size.added} lines added, {size.removed} removed\n"
        + diffs.unified("s02_json_safe", "s02_done_in_finally")
    )


def test_a_diff_on_a_terminal_is_coloured() -> None:
    printed = on_terminal("diff", "1", "2")

    assert "\x1b[32m+import json\x1b[0m" in printed
    assert "\x1b[31m-from openai import AsyncOpenAI\x1b[0m" in printed


def test_a_diff_of_one_stage_is_its_fix(command: Command) -> None:
    assert command("diff", "2").out == command("diff", "1", "2").out


def test_a_diff_of_one_wrong_turn_is_its_mistake(command: Command) -> None:
    assert command("diff", "s02_error_text").out == command("diff", "2", "s02_error_text").out


def test_the_first_stage_has_no_fix(command: Command) -> None:
    ended = command("diff", "1")

    assert (ended.code, ended.err) == (
        2,
        "Error: 1 has no stage before it. Name two to compare, such as: "
        "python -m stages diff 1 2\n",
    )


# tour


@dataclass
class Lab:
    """A stand-in for the lab: what it was asked to measure, and which cells come out wrong."""

    wrong: tuple[str, ...] = ()
    fails_after: int = 1_000_000
    failure: BaseException | None = None
    asked: tuple[Target, ...] = ()
    names: tuple[str, ...] = ()

    async def tour(
        self, targets: Sequence[Target], on_cell: OnCell, *, names: Sequence[str] = PROBES
    ) -> list[Cell]:
        self.asked, self.names = tuple(targets), tuple(names)
        cells: list[Cell] = []

        def told(cell: Cell) -> None:
            cells.append(cell)
            on_cell(cell)

        for target in targets:
            self.measure(target, names, told)
        return cells

    async def probe(self, target: Target, *names: str, on_cell: OnCell) -> list[Cell]:
        self.asked, self.names = (target,), names
        self.measure(target, names, on_cell)
        return []

    def measure(self, target: Target, names: Sequence[str], on_cell: OnCell) -> None:
        for name in names:
            if self.failure is not None and self.fails_after == 0:
                raise self.failure
            self.fails_after -= 1
            expected = None if target.stem is None else catalog.expected(name, target.stem)
            green = bool(expected) != (name in self.wrong)
            on_cell(
                Cell(
                    target.name,
                    name,
                    Verdict("green" if green else "red", f"of {name}"),
                    expected,
                    0.1,
                    "log",
                )
            )


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab()
    monkeypatch.setattr(lanes, "tour", lab.tour)
    monkeypatch.setattr(cells, "probe", lab.probe)
    return lab


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


def test_a_server_that_does_not_start_is_told_without_a_traceback(
    command: Command, lab: Lab
) -> None:
    lab.failure, lab.fails_after = ProcessError("The server ended. Its log ends with: oh"), 0

    ended = command("tour", "1")

    assert (ended.code, ended.err) == (1, "Error: The server ended. Its log ends with: oh\n")


def test_a_broken_probe_is_the_fault_of_the_lab(command: Command, lab: Lab) -> None:
    lab.failure, lab.fails_after = ProbeBroken("The probe x gave no verdict."), 3

    ended = command("tour", "1")

    assert (ended.code, ended.err) == (
        1,
        "Error: The probe x gave no verdict.\nThis is a fault of the lab, not of the server: a "
        "probe answers whatever a server does. Run it again; if it comes back, please report it "
        "with this text.\n",
    )


def test_a_tour_that_breaks_off_shows_what_was_measured(command: Command, lab: Lab) -> None:
    lab.failure, lab.fails_after = ProbeBroken("The probe x gave no verdict."), 3

    lines = [line.rstrip() for line in command("tour", "1").out.splitlines()]

    rows = [
        line.split()[-1] for line in lines if line.startswith("  ") and line.split()[0] in PROBES
    ]
    assert rows[:3] == ["✗", "✗", "✗"]
    assert rows[3:] == ["·"] * (len(PROBES) - 3)


def test_a_bug_of_ours_keeps_its_traceback(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.failure, lab.fails_after = ZeroDivisionError("ours"), 0
    monkeypatch.setattr(sys, "argv", ["stages", "tour"])

    with pytest.raises(ZeroDivisionError, match="ours"):
        main()


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


# probe


def test_a_red_probe_on_a_real_server_shows_its_evidence() -> None:
    with started("probe", "1", FAST) as running:
        code = running.end()

    assert code == 0
    for pattern in (
        rf"✗ {FAST}  as expected: s02_json_safe makes it green\n",
        r"\n    Does a chunk with empty `choices` pass without harm, .*\n    .*: the client saw ",
        r"\n    the cases\n      ✗ .*: the client saw ",
        r"\n         0\.000 s  client    sends the request\n",
        r"\n    the end of the server's log\n(.*\n)*      IndexError: list index out of range\n",
    ):
        assert re.search(pattern, running.printed), f"{pattern} is not in\n{running.printed}"


def test_a_learners_file_is_probed_where_it_lies(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text((ROOT / "stages" / "s02_json_safe.py").read_text())

    with started("probe", str(own), FAST) as running:
        code = running.end()

    assert code == 0
    assert "\n1 of 1 verdict green, in " in running.printed


def test_a_learners_file_with_a_red_probe_ends_with_1(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").touch()
    lab.wrong = tuple(PROBES[1:])  # nothing is expected of it, so wrong is green

    ended = command("probe", str(tmp_path / "mine.py"))

    assert ended.code == 1
    assert f"{len(PROBES) - 1} of {len(PROBES)} verdicts green" in ended.out


def test_a_file_that_is_all_red_may_not_be_such_a_server_at_all(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").touch()

    out = command("probe", str(tmp_path / "mine.py")).out

    assert out.endswith(
        "Every probe is red. Does the file answer POST /chat with an event stream, and is its app "
        "called `app`?\n"
    )


def test_a_stage_is_probed_with_all_probes(command: Command, lab: Lab) -> None:
    command("probe", "1")

    assert list(lab.names) == PROBES


def test_a_stage_is_probed_with_those_that_are_named(command: Command, lab: Lab) -> None:
    command("probe", "1", FAST, "text-survives", FAST)

    assert lab.names == (FAST, "text-survives")


@pytest.fixture
def named_s02(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file whose name begins like that of stage 2, which has two of all the probes."""
    every = probes.all_probes()

    def some(up_to: int | None = None) -> list[probes.Probe]:
        return every[:2] if up_to == 2 else every

    monkeypatch.setattr("stages.lab.cli.probe.all_probes", some)
    (tmp_path / "s02_mine.py").touch()
    return str(tmp_path / "s02_mine.py")


def test_a_file_named_after_a_stage_is_probed_up_to_that_stage(
    command: Command, lab: Lab, named_s02: str
) -> None:
    out = command("probe", named_s02).out

    assert lab.names == tuple(PROBES[:2])
    assert "2 probes: those up to stage 2, as its name says; --all runs all\n" in out


def test_a_file_can_be_probed_with_all_probes(command: Command, lab: Lab, named_s02: str) -> None:
    command("probe", named_s02, "--all")

    assert list(lab.names) == PROBES


def test_a_dialect_can_be_given(command: Command, lab: Lab) -> None:
    command("probe", "2", FAST, "--dialect", "plain")

    assert lab.asked[0].dialect.name == "plain"


def test_a_probe_with_a_surprise_ends_with_1_and_explains_it(command: Command, lab: Lab) -> None:
    lab.wrong = (FAST,)

    ended = command("probe", "2", FAST)

    assert ended.code == 1
    assert f"✗! {FAST}  not expected: it should be green\n" in ended.out
    assert "\n1 verdict not as the catalogue expects\n" in ended.out


def test_a_red_probe_leads_to_the_fix(command: Command, lab: Lab) -> None:
    out = command("probe", "1", FAST).out

    assert out.endswith("\nNext\n  python -m stages diff 1 2  the fix\n")


def test_a_red_probe_of_a_wrong_turn_leads_back_to_its_stage(command: Command, lab: Lab) -> None:
    out = command("probe", "s02_error_text", "secrets-stay-in").out

    assert out.endswith("\nNext\n  python -m stages diff s02_error_text 2  the fix\n")


def test_the_result_of_a_probe_can_be_kept_as_json(command: Command, lab: Lab) -> None:
    ended = command("probe", "2", FAST, "--json", "-")

    assert [cell["as_expected"] for cell in json.loads(ended.out)] == [True]
    assert f"✓ {FAST}" in ended.err


def test_an_interrupted_probe_says_how_far_it_came(command: Command, lab: Lab) -> None:
    lab.failure, lab.fails_after = KeyboardInterrupt(), 1

    ended = command("probe", "2", FAST, "text-survives")

    assert ended.code == 130
    assert ended.out.endswith("Interrupted after 1 of 2 probes. The server has been ended.\n")


# doctor


def test_the_doctor_finds_this_machine_ready() -> None:
    with started("doctor") as running:
        code = running.end()

    assert code == 0
    assert re.search(r"\n✓ stage 1 started, answered and ended in \d+\.\d s\n", running.printed)
    assert "\nThis machine is ready." in running.printed
