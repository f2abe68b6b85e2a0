"""A helper that starts warm is what a plain start would have made, at a tenth of the cost.

Where it would not be the same, the start is a plain one, and says why.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from stages import catalog
from stages.lab.matrix import lanes
from stages.lab.processes.children import Child
from stages.lab.processes.forked import EARLY
from stages.lab.processes.parent import Known
from stages.lab.processes.process import Process
from stages.lab.processes.serve import ENGINES, ServerOptions, serve, upstream
from stages.lab.processes.start import start
from stages.lab.processes.targets import find
from tests.helpers.commands import alive, gone, warm_parents
from tests.helpers.places import ROOT, SERVERS
from tests.helpers.until import until

NOWHERE = "http://127.0.0.1:9"  # an upstream that is never asked
SOON_S = 30.0  # what takes milliseconds; a machine may be busy
PLAIN = {"STAGES_START": "plain"}
WAYS = pytest.mark.parametrize("way", [{}, PLAIN], ids=["warm", "plain"])

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for descriptors")


@contextmanager
def started(
    *words: str, env: Mapping[str, str] = {}, **options: Any
) -> Iterator[tuple[Child, Any]]:
    """Start a module of tests/servers; yields the child and the file that it writes to."""
    path = os.pathsep.join([str(ROOT), str(SERVERS)])
    with tempfile.TemporaryFile() as out:
        env = {"PYTHONPATH": path, **env}
        with closing(start(words, env=env, stdout=out.fileno(), **options)) as child:
            try:
                yield child, out
            finally:
                child.kill()


def ended(*words: str, env: Mapping[str, str] = {}, **options: Any) -> tuple[int | None, str]:
    """Return the exit code of a module of tests/servers, and what it has written."""
    with started("reports_itself", *words, env=env, **options) as (child, out):
        assert child.wait(SOON_S)
        assert (child.plain_because is not None) == (env.get("STAGES_START") == "plain")
        out.seek(0)
        return child.returncode, out.read().decode()


def both(*words: str, env: Mapping[str, str] = {}, **options: Any) -> tuple[Any, Any]:
    """Return the reports of a warm process and a plain one."""
    reports = []
    for way in ({}, PLAIN):
        report = json.loads(ended(*words, env={**env, **way}, **options)[1])
        report["env"].pop("STAGES_START", None)
        reports.append(report)
    return reports[0], reports[1]


# What it is.


@only_linux
def test_a_warm_process_is_what_a_plain_one_is() -> None:
    warm, plain = both("a", "--b=c d")

    assert warm == plain


@only_linux
def test_it_is_so_in_another_folder_with_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A_NEW_ONE", "\udcff é\n")
    monkeypatch.delenv("OPENAI_API_KEY")
    path = os.pathsep.join(["", "relative", f"{SERVERS}/../servers", str(ROOT), str(SERVERS)])

    warm, plain = both(env={"PYTHONPATH": path, "TMPDIR": str(tmp_path)})

    assert warm == plain
    assert warm["cwd"] == warm["temporary"] == str(tmp_path)
    assert "OPENAI_API_KEY" not in warm["env"]


@only_linux
def test_it_ignores_warnings_when_it_is_told_to() -> None:
    warm, plain = both(env={"PYTHONWARNINGS": "ignore"})

    assert warm == plain
    assert warm["warnings"][0] == ["ignore"]


@only_linux
def test_it_has_the_descriptors_that_it_was_given_under_their_numbers() -> None:
    ours, theirs = os.pipe()
    numbers = [os.dup2(theirs, number) for number in (200, 77)]

    warm, plain = both(passed=numbers)
    for number in (ours, theirs, *numbers):
        os.close(number)

    assert warm == plain
    assert warm["descriptors"] == warm["inheritable"] == [0, 1, 2, 77, 200]


@only_linux
def test_one_that_starts_more_has_one_descriptor_more_that_its_children_do_not_get() -> None:
    report = json.loads(ended(starts_more=True)[1])

    assert report["descriptors"] == [0, 1, 2, 3]
    assert report["inheritable"] == [0, 1, 2]


@WAYS
def test_its_stdin_is_empty(way: dict[str, str]) -> None:
    report = json.loads(ended("read", env=way)[1])

    assert report["stdin"] == ""


# How it ends.


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("exit", "3"), 3),
        (("exit", "a message"), 1),
        (("raise",), 1),
        (("interrupt",), -signal.SIGINT),
        (("kill",), -signal.SIGKILL),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_it_ends_as_a_plain_one_does_and_says_the_same(words: tuple[str, ...], code: int) -> None:
    warm, plain = ended(*words), ended(*words, env=PLAIN)

    assert warm == plain
    assert warm[0] == code


@WAYS
def test_a_signal_ends_it(way: dict[str, str]) -> None:
    with started("reports_itself", "wait", env=way) as (child, out):
        until(lambda: out.seek(0) or bytes(out.read()), bool, "word from it")
        child.signal(signal.SIGTERM)

        assert child.wait(SOON_S)

    assert child.returncode == -signal.SIGTERM


def crash(**options: Any) -> str:
    process = serve(f"{SERVERS}/startup_fails.py", NOWHERE, **options)
    with pytest.raises(Exception, match="before it was ready"), process:
        pass
    return process.log


def test_the_log_of_a_crash_has_the_same_words() -> None:
    log = crash()

    assert "Traceback (most recent call last):" in log
    assert [line for line in log.splitlines() if "process" not in line] == [
        line for line in crash(env=PLAIN).splitlines() if "process" not in line
    ]


# When it is a plain start.


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "TZ", "PROMETHEUS_MULTIPROC_DIR", "OPENAI_LOG"])
def test_a_variable_that_is_read_early_makes_a_plain_start(name: str, tmp_path: Path) -> None:
    with serve(f"{SERVERS}/report.py", NOWHERE, env={name: "1"}) as process:
        because = process.plain_because

    assert because == f"The variable {name} is read early, and is '1' for this start only."


@pytest.mark.parametrize("name", ["PYTHONSAFEPATH", "PYTHONWARNINGS"])
def test_a_variable_that_the_parent_never_has_makes_a_plain_start(name: str) -> None:
    with started("reports_itself", env={name: "error"}) as (child, _):
        because = child.plain_because

    assert because is not None
    assert because.startswith(f"The variable {name} is read early, ")


def test_a_plain_start_can_be_asked_for() -> None:
    with serve(f"{SERVERS}/report.py", NOWHERE, env=PLAIN) as process:
        assert process.plain_because == "STAGES_START=plain asks for it."


def test_a_module_of_the_same_name_in_the_way_makes_a_plain_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h11.py").touch()
    monkeypatch.chdir(tmp_path)

    with started("reports_itself") as (child, _):
        because = child.plain_because

    assert because == f"There is another h11 in {tmp_path}, which a plain start would import."


def test_another_interpreter_makes_a_plain_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream():
        pass  # the parent is there
    link = f"{sys.prefix}/bin/python"
    other = sys.executable if sys.executable != link else f"{sys.prefix}/bin/python3"
    monkeypatch.setattr(sys, "executable", f"{Path(other).parent}/./{Path(other).name}")

    with started("reports_itself") as (child, _):
        assert child.plain_because == f"It is for another interpreter, {sys.executable}."


def test_a_system_without_fork_has_plain_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "parent", None)
    monkeypatch.setattr(Known, "failed", None)
    monkeypatch.delattr(os, "fork")

    with started("reports_itself") as (child, _):
        assert child.plain_because == "There is no fork on this system."


def test_a_parent_that_does_not_start_makes_plain_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "parent", None)
    monkeypatch.setattr(Known, "failed", None)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")

    with started("reports_itself") as (child, _):
        because = child.plain_because

    assert because is not None
    assert because.startswith("The parent of warm starts ended with exit code 1 before it was re")


RECORD = """
import os, wsgiref.handlers  # this one copies all of the environment, which `become` makes good
asked = set()
get = os._Environ.__getitem__
def noted(self, name):
    asked.add(name)
    return get(self, name)
os._Environ.__getitem__ = noted
from stages.lab.processes import preload
preload.load()
print(*sorted(asked), sep="\\n")
"""


def in_fresh_process(code: str, **env: str) -> list[str]:
    path = {"PYTHONPATH": str(ROOT)}
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **path, **env},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return out.stdout.splitlines()


def test_every_variable_that_an_import_reads_is_named() -> None:
    asked = in_fresh_process(RECORD)

    assert "OPENAI_LOG" in asked  # the record has been made
    assert [name for name in asked if not name.startswith(EARLY)] == []


# The parent.


def test_what_is_imported_starts_no_thread_opens_nothing_and_is_no_target() -> None:
    look = (
        "import os, sys\n"
        "from stages.lab.processes import preload\n"
        "before = os.listdir('/proc/self/fd')\n"
        "preload.load()\n"
        "print(os.listdir('/proc/self/task') == [str(os.getpid())])\n"
        "print(os.listdir('/proc/self/fd') == before)\n"
        "print(*(name for name in sys.modules if name.startswith(('stages', 'solutions'))))"
    )

    alone, nothing_open, names = in_fresh_process(look)

    stems = {entry.stem for entry in (*catalog.STAGES, *catalog.WRONG_TURNS)}
    modules = names.split()
    assert (alone, nothing_open) == ("True", "True")
    assert [each for each in modules if each in {f"stages.{stem}" for stem in stems}] == []
    assert [each for each in modules if each.startswith(("stages.wrong_turns", "solutions"))] == []


def test_every_library_that_is_named_is_there() -> None:
    look = (
        "import importlib; from stages.lab.processes.preload import LIBRARIES\n"
        "for name in LIBRARIES: importlib.import_module(name)"
    )

    assert in_fresh_process(look) == []


HOLDS = """
import sys, signal
from stages.lab.processes.serve import serve, upstream
with upstream() as first, serve(sys.argv[1], first.url) as server:
    print(first.pid, server.pid, server.plain_because, server.log.split()[1], flush=True)
    signal.pause()
"""


@contextmanager
def holder() -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A process that holds a server; yields what there is: parent, helpers, what they started."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, f"{SERVERS}/crashes.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, handler)
    with process:
        assert process.stdout is not None
        try:
            first, server, because, started = process.stdout.readline().split()
            assert because == "None"
            parents = warm_parents(process.pid)
            assert len(parents) == 1
            yield process, {*parents, int(first), int(server), int(started)}
        finally:
            process.kill()


@only_linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_starter_ends(number: signal.Signals) -> None:
    with holder() as (process, pids):
        assert alive(pids) == pids
        process.send_signal(number)

        assert gone(pids)


@only_linux
def test_ctrl_c_in_the_terminal_of_the_starter_is_for_the_starter_only() -> None:
    with holder() as (process, pids):
        groups = {os.getpgid(pid) for pid in pids}

        assert os.getpgid(process.pid) not in groups


@only_linux
def test_a_warm_child_and_its_group_end_when_it_is_let_go() -> None:
    with upstream():
        pass
    with tempfile.TemporaryFile() as out:
        env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(SERVERS)])}
        child = start(["reports_itself", "wait"], env=env, stdout=out.fileno())
        child.close()

        assert gone({child.pid})


@pytest.fixture
def own_parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A parent for this test only, which it may kill."""
    monkeypatch.setattr(Known, "parent", None)
    monkeypatch.setattr(Known, "failed", None)
    with upstream() as process:
        assert process.plain_because is None
        assert Known.parent is not None
        yield Known.parent._popen
    if Known.parent is not None:
        Known.parent.end()


def test_when_the_parent_was_killed_the_next_start_is_plain_and_says_so(own_parent: Any) -> None:
    own_parent.kill()
    own_parent.wait()

    with upstream() as process:
        because = process.plain_because
    with upstream() as process:
        after = process.plain_because

    assert because == (
        "The parent of warm starts has ended by SIGKILL. Probably it was killed, or memory is "
        "short. The next start has a new one."
    )
    assert after is None


def test_a_child_whose_parent_was_killed_is_killed_when_that_is_seen(own_parent: Any) -> None:
    with serve(f"{SERVERS}/report.py", NOWHERE) as process:
        own_parent.kill()

        assert process.wait(SOON_S)
        assert process.exit_code == -signal.SIGKILL

    assert gone({process.pid})


def test_ten_can_start_at_the_same_time() -> None:
    barrier = threading.Barrier(10)

    def one(_: int) -> tuple[int, str | None]:
        barrier.wait()
        with upstream() as process:
            return process.port, process.plain_because

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(one, range(10)))

    assert len({port for port, _ in found}) == 10
    assert {because for _, because in found} == {None}


@only_linux
def test_it_keeps_no_descriptor_and_no_child_of_those_that_have_ended() -> None:
    with upstream():
        pass
    (parent,) = warm_parents(os.getpid())
    before = psutil.Process(parent).num_fds()

    for _ in range(5):
        with upstream():
            pass
        ended(starts_more=True)

    assert psutil.Process(parent).children() == []
    # One may have been on its way to be closed before; who keeps one keeps five.
    until(psutil.Process(parent).num_fds, lambda now: now <= before, f"return to {before} files")


@pytest.mark.slow("a hundred starts")
@pytest.mark.timeout(600)
def test_a_signal_at_the_moment_of_its_end_does_no_harm() -> None:
    # Once in a hundred, the parent hears of both at the same time. It ended by that.
    codes = set[int | None]()
    for _ in range(200):
        with started("reports_itself", "exit", "3") as (child, _):
            assert child.plain_because is None
            while not child.wait(0):
                child.signal(signal.SIGCONT)
            codes.add(child.returncode)

    assert codes == {3}


# What it costs.


def cost_s(process: Process) -> float:
    """Return the seconds of a processor that a process has taken until it was ready."""
    with process:
        times = psutil.Process(process.pid).cpu_times()
        return times.user + times.system


@pytest.mark.parametrize("engine", ENGINES)
def test_a_warm_start_takes_a_third_of_a_plain_one_at_most(engine: str) -> None:
    # Measured: 0.15 s of 1.7 s, a tenth. Both are taken in the same run: a machine may be slow.
    target, options = "stages.s06_telemetry", ServerOptions(engine=engine)
    cost_s(serve(target, NOWHERE, options))

    warm_s = min(cost_s(serve(target, NOWHERE, options)) for _ in range(3))
    plain_s = cost_s(serve(target, NOWHERE, options, env=PLAIN))

    assert warm_s < plain_s / 3


# What is measured.


@pytest.mark.slow("every stage twice, warm and plain")
@pytest.mark.timeout(1800)
def test_every_stage_has_the_same_verdicts_after_a_warm_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warm = verdicts()
    monkeypatch.setenv("STAGES_START", "plain")

    assert warm == verdicts()


def verdicts() -> dict[tuple[str, str], bool]:
    targets = [find(stage.stem) for stage in catalog.STAGES]
    cells = asyncio.run(lanes.tour(targets))
    return {(cell.target, cell.probe): cell.verdict.green for cell in cells}
