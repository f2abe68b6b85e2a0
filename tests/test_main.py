"""`python -m stages` says what there is, runs it, shows the evidence, and leaves nothing behind."""

import asyncio
import json
import os
import pty
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from stages import __main__ as command_line
from stages import catalog
from stages.lab import addresses, cli_list, cli_serve, diffs, matrix, probes, serve
from stages.lab.cli import UsageError
from stages.lab.clients import Client
from stages.lab.matrix import Cell, OnCell, ProbeBroken
from stages.lab.process import ProcessError
from stages.lab.targets import Target
from stages.lab.verdict import Verdict

ROOT = Path(__file__).parent.parent
SOON_S = 30.0  # a command does in 2 s what is waited for here; the rest is for a busy machine
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
PROBES = [probe.name for probe in probes.all_probes()]
FAST = "usage-chunk-survives"  # takes 0.1 s, red on stage 1, green on stage 2


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture(autouse=True, scope="module")
def sigint_is_heard() -> Iterator[None]:
    """Undo what a shell does to a job in the background: its children would ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in this process."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["stages", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        told = capsys.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)

    return run


class Running:
    """A command in a process of its own, and what it has printed so far."""

    def __init__(self, words: Sequence[str], output: int, process: subprocess.Popen[bytes]) -> None:
        self.words, self._output, self._process = words, output, process
        self.printed = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of a pattern in what is printed; fail at the deadline."""
        deadline_s = time.monotonic() + SOON_S
        while (found := re.search(pattern, self.printed)) is None:
            if not self._read(deadline_s):
                pytest.fail(f"{self.words} did not print {pattern!r} but:\n{self.printed}")
        return found

    def end(self, number: int | None = None) -> int:
        """Send a signal, if one is given, and return the exit code once it has ended."""
        if number is not None:
            os.kill(self.pid, number)
        deadline_s = time.monotonic() + SOON_S
        while self._read(deadline_s):
            pass
        return self._process.wait(SOON_S)

    def _read(self, deadline_s: float) -> bool:
        """Read what is there, or comes before the deadline; False at the end or the deadline."""
        left_s = max(0.0, deadline_s - time.monotonic())
        if not select.select([self._output], [], [], left_s)[0]:
            return False
        try:
            new = os.read(self._output, 65_536)
        except OSError:  # how Linux says that the last one has closed a terminal
            new = b""
        self.printed += new.decode("utf-8", "replace")
        return bool(new)


@contextmanager
def started(*words: str, columns: int | None = None, **env: str) -> Iterator[Running]:
    """Start a command; on a terminal when it is given columns, otherwise in a pipe."""
    ours, theirs = os.pipe() if columns is None else pty.openpty()
    dimensions = {} if columns is None else {"COLUMNS": str(columns), "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", *words],
        stdin=theirs if columns is not None else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", **dimensions, **env},
        start_new_session=True,  # as from another terminal: a signal to it is none to pytest
    )
    os.close(theirs)
    try:
        yield Running(words, ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def on_terminal(*words: str, columns: int = 80, **env: str) -> str:
    with started(*words, columns=columns, **env) as running:
        running.end()
    return running.printed


def descendants(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that these have."""
    listed = subprocess.run(["ps", "-Ao", "pid=,ppid="], capture_output=True, check=True, text=True)
    pairs = [
        (int(child), int(parent)) for child, parent in map(str.split, listed.stdout.splitlines())
    ]
    found, parents = set[int](), {pid}
    while parents:
        parents = {child for child, parent in pairs if parent in parents} - found
        found |= parents
    return found


def alive(pids: set[int]) -> set[int]:
    """Return those that still run; a zombie has ended and waits for somebody to notice."""
    listed = subprocess.run(["ps", "-Ao", "pid=,stat="], capture_output=True, check=True, text=True)
    states = dict(line.split() for line in listed.stdout.splitlines())
    return {pid for pid in pids if not states.get(str(pid), "Z").startswith("Z")}


def gone(pids: set[int]) -> bool:
    """Return whether all of these have ended before the deadline."""
    deadline_s = time.monotonic() + SOON_S
    while alive(pids) and time.monotonic() < deadline_s:
        select.select([], [], [], 0.02)
    return not alive(pids)


def refuses(url: str) -> bool:
    """Return whether nobody listens at a URL, before the deadline."""
    address = (httpx.URL(url).host, httpx.URL(url).port or 0)
    deadline_s = time.monotonic() + SOON_S
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            return True
    return False


# The list


def test_without_a_command_every_stage_is_listed_with_its_claim_and_its_fix(
    command: Command,
) -> None:
    words = " ".join(command().out.split())

    for stage in catalog.STAGES:
        assert f"{stage.number} {stage.stem} {stage.title}" in words
        assert stage.fix.split()[-1] in words


def test_the_list_has_the_size_of_each_diff(command: Command) -> None:
    lines = command().out.splitlines()

    size = str(diffs.size("s01_naive", "s02_json_safe"))
    assert [line.split()[-2:] for line in lines if "s02_json_safe" in line] == [size.split()]


def test_the_list_has_every_wrong_turn_with_the_probes_that_it_fails(command: Command) -> None:
    words = " ".join(command().out.split())

    for turn in catalog.WRONG_TURNS:
        assert turn.stem in words
        assert f"✗ {', '.join(turn.fails)}" in words


def test_the_list_says_what_to_type_next(command: Command) -> None:
    out = command().out

    assert "  python -m stages tour      every probe on every stage, and the staircase\n" in out


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
    code = f"import sys, stages.__main__, stages.lab.cli_list; print({heavy} & {{*sys.modules}})"

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

    monkeypatch.setattr(cli_list, "stages", missing)

    ended = command()

    assert ended.code == 1
    assert ended.err.startswith(f"Error: {told}")


def test_a_module_of_ours_that_is_missing_keeps_its_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'stages.x'", name="stages.x")

    monkeypatch.setattr(cli_list, "stages", missing)
    monkeypatch.setattr(sys, "argv", ["stages"])

    with pytest.raises(ModuleNotFoundError):
        command_line.main()


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

    async def tour(self, targets: Sequence[Target], *, on_cell: OnCell) -> list[Cell]:
        self.asked = tuple(targets)
        for target in targets:
            self.measure(target, PROBES, on_cell)
        return []

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
            on_cell(Cell(target.name, name, Verdict(green, f"of {name}"), expected, 0.1, "log"))


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab()
    monkeypatch.setattr(matrix, "tour", lab.tour)
    monkeypatch.setattr(matrix, "probe", lab.probe)
    return lab


def test_a_tour_as_expected_ends_with_0_and_says_so(command: Command, lab: Lab) -> None:
    ended = command("tour")

    count = len(PROBES) * len(catalog.STAGES)
    assert ended.code == 0
    assert f"\n{count} verdicts, all as expected, in 0 s.\n" in ended.out


def test_a_tour_visits_every_stage(command: Command, lab: Lab) -> None:
    command("tour")

    assert [target.stem for target in lab.asked] == [stage.stem for stage in catalog.STAGES]


def test_a_tour_visits_what_is_named_and_each_once(command: Command, lab: Lab) -> None:
    command("tour", "2", "s02_error_text", "2")

    assert [target.stem for target in lab.asked] == ["s02_json_safe", "s02_error_text"]


def test_a_tour_in_a_pipe_tells_each_verdict_as_it_comes(command: Command, lab: Lab) -> None:
    out = command("tour", "1").out

    assert f"\n1/{len(PROBES)} ✗ text-survives on s01_naive, 0.1 s\n" in out


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
        command_line.main()


def test_ctrl_c_ends_a_tour_with_what_was_measured_and_leaves_no_process() -> None:
    with started("tour", "2") as running:
        running.wait_for(rf"1/{len(PROBES)} ✓ text-survives on s02_json_safe")
        helpers = descendants(running.pid)

        code = running.end(signal.SIGINT)

    assert code == 130
    assert re.search(
        rf"Interrupted after \d of {len(PROBES)} experiments\. Every server has been ended\.\s*$",
        running.printed,
    )
    assert re.search(r"\n  text-survives +✓", running.printed)
    assert len(helpers) >= 2  # the upstream and the server
    assert alive(helpers) == set()


def test_a_tour_on_a_terminal_says_what_runs_now() -> None:
    with started("tour", "2", columns=100) as running:
        running.wait_for("text-survives on s02_json_safe: Does every text arrive as the model")

        code = running.end(signal.SIGINT)

    assert code == 130


def test_colours_in_a_pipe_bring_no_moving_parts() -> None:
    with started("tour", "2", FORCE_COLOR="1") as running:
        running.wait_for("1/")

        running.end(signal.SIGKILL)

    assert COLOUR.search(running.printed)
    assert "\x1b[?25l" not in running.printed  # what hides the cursor before the first frame


def test_a_tour_that_is_killed_leaves_no_process() -> None:
    with started("tour", "2") as running:
        running.wait_for("1/")
        helpers = descendants(running.pid)

        running.end(signal.SIGKILL)

    assert helpers
    assert gone(helpers)


# probe


def test_a_red_probe_on_a_real_server_shows_its_evidence() -> None:
    with started("probe", "1", FAST) as running:
        code = running.end()

    assert code == 0
    for pattern in (
        rf"✗ {FAST}  as expected: s02_json_safe makes it green\n",
        r"\n    a usage chunk: the client saw nothing, and the connection was cut\n",
        r"\n    the cases\n      ✗ a usage chunk: the client saw nothing",
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
    (tmp_path / "s02.py").touch()
    lab.wrong = tuple(PROBES[1:])  # nothing is expected of it, so wrong is green

    ended = command("probe", str(tmp_path / "s02.py"))

    assert ended.code == 1
    assert f"{len(PROBES) - 1} of {len(PROBES)} verdicts green" in ended.out


def test_a_file_that_is_all_red_may_speak_another_dialect(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    own = tmp_path / "mine.py"
    own.touch()

    out = command("probe", str(own)).out

    assert out.endswith(
        "Every probe is red. Does the file answer POST /chat with an event stream? If it speaks "
        f"as stage 1 does, say so: python -m stages probe {own} --dialect plain\n"
    )


def test_a_stage_is_probed_with_all_probes(command: Command, lab: Lab) -> None:
    command("probe", "1")

    assert list(lab.names) == PROBES


def test_a_stage_is_probed_with_those_that_are_named(command: Command, lab: Lab) -> None:
    command("probe", "1", FAST, "text-survives", FAST)

    assert lab.names == (FAST, "text-survives")


def test_a_file_named_after_a_stage_is_probed_up_to_that_stage(
    command: Command, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s02_mine.py").touch()
    asked: list[int | None] = []
    every = probes.all_probes()

    def some(up_to: int | None = None) -> list[probes.Probe]:
        asked.append(up_to)
        return every[:2] if up_to == 2 else every

    monkeypatch.setattr("stages.lab.cli_probe.all_probes", some)
    out = command("probe", str(tmp_path / "s02_mine.py")).out

    assert lab.names == tuple(PROBES[:2])
    assert "2 probes: those up to stage 2, as its name says; --all runs all\n" in out


def test_a_file_can_be_probed_with_all_probes(command: Command, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "s02.py").touch()

    command("probe", str(tmp_path / "s02.py"), "--all")

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


def test_the_result_of_a_probe_can_be_kept_as_json(command: Command, lab: Lab) -> None:
    ended = command("probe", "2", FAST, "--json", "-")

    assert [cell["as_expected"] for cell in json.loads(ended.out)] == [True]
    assert f"✓ {FAST}" in ended.err


def test_an_interrupted_probe_says_how_far_it_came(command: Command, lab: Lab) -> None:
    lab.failure, lab.fails_after = KeyboardInterrupt(), 1

    ended = command("probe", "2", FAST, "text-survives")

    assert ended.code == 130
    assert ended.out.endswith("Interrupted after 1 of 2 probes. The server has been ended.\n")


# run


def url_in(running: Running) -> str:
    return running.wait_for(r"runs at (http://\S+)\n")[1]


def curl_in(running: Running) -> str:
    """Return the command that is printed, as one copies it."""
    return running.wait_for(r"    (curl (?:.+\n)+)\n")[1]


def arrivals(lines: Iterable[bytes]) -> list[tuple[float, bytes]]:
    return [(time.monotonic(), line) for line in lines if line.startswith(b"data:")]


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    """Stage 2, served once for the tests that only look."""
    with started("run", "2", "--port", "0") as running:
        yield running


def test_the_printed_curl_line_shows_the_events_one_by_one(served: Running) -> None:
    line = curl_in(served)

    curl = subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, stderr=-3, bufsize=0)
    assert curl.stdout is not None
    with curl, curl.stdout:
        came = arrivals(iter(curl.stdout.readline, b""))

    assert json.loads(came[0][1].removeprefix(b"data:"))["index"] == 0
    assert b"finish_reason" in came[-1][1]
    assert came[-1][0] - came[0][0] > 0.2  # fifty tokens, 0.02 s apart: 1 s


def test_run_says_that_it_costs_nothing(served: Running) -> None:
    served.wait_for(r"on the scripted upstream at http://127\.0\.0\.1:\d+: no key, no cost\n")


def test_run_does_not_use_a_provider_of_the_environment_unasked(served: Running) -> None:
    # conftest.py sets both to what can answer nothing.
    served.wait_for(r"Not used: OPENAI_API_KEY, OPENAI_BASE_URL\. With --real they are\.\n")


def test_run_shows_the_servers_own_log(served: Running) -> None:
    httpx.post(f"{url_in(served)}/chat", json={}, trust_env=False)

    served.wait_for(r'"POST /chat HTTP/1\.1" 422')


def test_ctrl_c_ends_the_server_and_its_upstream() -> None:
    with started("run", "1", "--port", "0") as running:
        url = url_in(running)
        helpers = descendants(running.pid)

        code = running.end(signal.SIGINT)

    assert code == 0
    assert running.printed.endswith("\nStopped.\n")
    assert helpers
    assert alive(helpers) == set()
    assert refuses(url)


def test_ctrl_c_does_not_wait_for_a_stream_without_end() -> None:
    with started("run", "1", "--port", "0") as running:
        url = url_in(running)
        upstream = running.wait_for(r"upstream at (http://\S+):")[1]
        endless = {"steps": [{"do": "Token", "text": "a"}, {"do": "Pause", "seconds": 600}]}
        httpx.put(f"{upstream}/scripts/endless", json=endless, trust_env=False)
        body = b'{"messages": [{"role": "user", "content": "script:endless"}]}'

        async def ask_and_end() -> int:
            async with Client(f"{url}/chat", body) as client:
                assert await client.read(lambda: bool(client.events), deadline_s=SOON_S)
                return await asyncio.to_thread(running.end, signal.SIGINT)

        assert asyncio.run(ask_and_end()) == 0


def test_a_killed_run_leaves_neither_server_nor_upstream() -> None:
    with started("run", "1", "--port", "0") as running:
        url = url_in(running)
        helpers = descendants(running.pid)

        running.end(signal.SIGKILL)

    assert helpers
    assert gone(helpers)
    assert refuses(url)


def test_a_real_provider_is_used_when_asked_for() -> None:
    with serve.upstream() as provider:
        url = f"{provider.url}/v1"
        with started(
            "run", "2", "--port", "0", "--real", OPENAI_BASE_URL=url, OPENAI_API_KEY="sk-mine"
        ) as running:
            told = running.wait_for(r"on the real provider at (\S+): every request may cost money")
            chat = {"messages": [{"role": "user", "content": "hi"}]}
            httpx.post(f"{url_in(running)}/chat", json=chat, trust_env=False)
        ledger = httpx.get(f"{provider.url}/ledger", trust_env=False).json()

    assert told[1] == url
    assert [entry["request_headers"]["authorization"] for entry in ledger] == ["Bearer sk-mine"]


def test_a_real_provider_must_be_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")

    ended = command("run", "1", "--real")

    assert (ended.code, ended.err) == (
        2,
        "Error: --real needs a provider, but neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. "
        "Set one of them, or leave out --real to use the scripted upstream.\n",
    )


def test_a_local_provider_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")

    cli_serve.real_provider()

    assert os.environ["OPENAI_API_KEY"] == "none"


def test_a_key_alone_means_the_provider_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")

    assert "at https://api.openai.com/v1: every request may cost" in cli_serve.real_provider()


def test_a_file_that_cannot_be_imported_is_told_from_its_own_line_on(
    command: Command, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("app = nothing\n")

    ended = command("run", str(broken), "--port", "0")

    assert (ended.code, ended.err) == (
        1,
        f"Error: {broken} cannot be imported, so it is not served.\n\n"
        "Traceback (most recent call last):\n"
        f'  File "{broken}", line 1, in <module>\n    app = nothing\n          ^^^^^^^\n'
        "NameError: name 'nothing' is not defined\n\nMend that, and start it again.\n",
    )


def test_a_file_without_an_app_is_told_so(command: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.touch()

    ended = command("run", str(empty), "--port", "0")

    assert ended.code == 1
    assert ended.err.startswith(f"Error: {empty} has no 'app'.")


def test_an_app_that_does_not_start_says_where_to_look(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from fastapi import FastAPI\n"
        "async def lifespan(app):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "app = FastAPI(lifespan=lifespan)\n"
    )

    with started("run", str(own), "--port", "0") as running:
        code = running.end()

    assert code == 1
    assert "RuntimeError: no database" in running.printed
    assert running.printed.endswith(
        "did not start (exit code 3). Why stands in its log above; probably its lifespan raised.\n"
    )


# Addresses


def test_a_port_in_use_is_wrong_usage_and_says_what_to_do(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = command("run", "1", "--port", str(port))

    assert (ended.code, ended.err) == (
        2,
        f"Error: Port {port} of 127.0.0.1 is in use, probably by another server that still runs. "
        "Stop that one, or give another port; --port 0 takes any free one.\n",
    )


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_number_that_is_no_port_is_wrong_usage(command: Command, port: str) -> None:
    ended = command("run", "1", "--port", port)

    assert (ended.code, ended.err) == (
        2,
        f"Error: {port} is no port. Give one up to 65535; 0 takes any free one.\n",
    )


def test_a_port_of_the_system_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(host: str, port: int) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(addresses, "_listen", denied)

    with pytest.raises(UsageError, match="Port 80 may not be used: those below 1024"):
        addresses.bind("127.0.0.1", 80, 8000)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1 is no address of this machine"):
        addresses.bind("192.0.2.1", 0, 8000)


def test_without_a_port_the_usual_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        usual = probe.getsockname()[1]

    with addresses.bind("127.0.0.1", None, usual) as listener:
        assert addresses.url_of(listener) == f"http://127.0.0.1:{usual}"


def test_without_a_port_any_free_one_is_taken_when_the_usual_one_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]

        with addresses.bind("127.0.0.1", None, usual) as listener:
            assert listener.getsockname()[1] not in (0, usual)


def test_what_listens_everywhere_is_reached_at_loopback() -> None:
    with addresses.bind("0.0.0.0", 0, 8000) as listener:
        assert addresses.url_of(listener).startswith("http://127.0.0.1:")


def test_curl_goes_around_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")

    assert addresses.curl("http://127.0.0.1:1/", b"{}").startswith("curl -N --noproxy '*' http")


def test_a_long_body_for_curl_is_two_lines_of_the_same_json() -> None:
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "x" * 50}]})

    command = addresses.curl("http://127.0.0.1:1/", body.encode())

    assert max(map(len, command.splitlines())) < len(body)
    assert json.loads(command.partition("-d ")[2].strip("'")) == json.loads(body)


# upstream


def test_the_upstream_says_how_a_server_uses_it() -> None:
    with started("upstream", "--port", "0") as running:
        url = url_in(running)

        running.wait_for(rf"    export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=sk-scripted\n")


def test_the_printed_curl_line_of_the_upstream_works() -> None:
    with started("upstream", "--port", "0") as running:
        line = curl_in(running)

        ran = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)

    assert ran.stdout.endswith("data: [DONE]\n\n")


def test_ctrl_c_ends_the_upstream() -> None:
    with started("upstream", "--port", "0") as running:
        url = url_in(running)

        code = running.end(signal.SIGINT)

    assert (code, running.printed[-10:]) == (0, "\nStopped.\n")
    assert refuses(url)


# doctor


def test_the_doctor_finds_this_machine_ready() -> None:
    with started("doctor") as running:
        code = running.end()

    assert code == 0
    assert re.search(r"\nThis machine is ready\.", running.printed)
