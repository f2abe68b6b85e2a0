"""The doctor says whether a machine is ready for the workshop, and what to do where it is not."""

import re
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from stages import catalog
from stages.lab.cli import doctor
from stages.lab.doctor import examine
from stages.lab.doctor import machine as machine
from stages.lab.doctor import model as model
from stages.lab.doctor import packages as packages
from stages.lab.doctor.findings import INSTALL, Finding
from stages.lab.processes.process import ProcessError

NEEDED = {"fastapi": ("fastapi", "0.163"), "sse-starlette": ("sse-starlette", "3.7")}
PINS = {"fastapi": "0.163.2", "sse-starlette": "3.7.0", "h11": "0.16.0", "ruff": "0.17.5"}


def versions(**installed: str) -> Callable[[str], str | None]:
    return lambda name: installed.get(name.replace("-", "_"))


TESTED = versions(fastapi="0.163.2", sse_starlette="3.7.0", h11="0.16.0")


# Packages


def test_packages_as_tested_are_one_line() -> None:
    assert packages.judge(NEEDED, PINS, TESTED) == [
        Finding("ready", "2 of 2 packages that the kit needs, in the versions that were tested")
    ]


def test_a_missing_package_is_named_and_says_how_to_get_it() -> None:
    found = packages.judge(NEEDED, PINS, versions(fastapi="0.163.2"))

    assert found[0] == Finding("missing", "sse-starlette is not installed", INSTALL)


def test_an_old_package_is_missing_what_is_taught() -> None:
    found = packages.judge(NEEDED, PINS, versions(fastapi="0.99.1", sse_starlette="3.7.0"))

    assert (found[0].grade, found[0].what) == (
        "missing",
        "fastapi 0.99.1 is too old: 0.163 is needed",
    )


def test_versions_are_compared_as_numbers() -> None:
    found = packages.judge({"rich": ("rich", "9.2")}, {}, versions(rich="14.0"))

    assert [finding.grade for finding in found] == ["ready"]


def test_another_version_than_the_tested_one_is_a_warning() -> None:
    newer = versions(fastapi="0.200", sse_starlette="3.7.0", h11="0.17.0")

    found = packages.judge(NEEDED, PINS, newer)

    assert (found[0].grade, found[0].what) == (
        "warning",
        "other versions than those tested (in brackets): "
        "fastapi 0.200 (0.163.2), h11 0.17.0 (0.16.0)",
    )


def test_a_pinned_tool_that_nobody_needs_may_be_absent() -> None:
    found = packages.judge(NEEDED, PINS, TESTED)

    assert not any("ruff" in finding.what for finding in found)


def test_without_constraints_nothing_is_said_of_tested_versions() -> None:
    found = packages.judge(NEEDED, {}, TESTED)

    assert [finding.what for finding in found] == ["2 of 2 packages that the kit needs"]


def test_what_the_kit_needs_stands_in_pyproject() -> None:
    needed = packages.required(examine.CHECKOUT)

    assert needed["sqlalchemy"] == ("sqlalchemy", "2.1")


def test_every_requirement_of_pyproject_is_understood() -> None:
    project = (examine.CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    listed = project.partition("dependencies = [")[2].partition("\n]")[0]

    needed = packages.required(examine.CHECKOUT)

    assert len(needed) == sum(line.strip().startswith('"') for line in listed.splitlines())


def test_what_was_tested_stands_in_constraints() -> None:
    assert packages.pinned(examine.CHECKOUT)["fastapi"].startswith("0.")


def test_without_a_checkout_nothing_was_tested(tmp_path: Path) -> None:
    assert packages.pinned(tmp_path) == {}


def test_without_a_checkout_the_installed_kit_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["fastapi>=0.163", 'ruff>=0.17; extra == "dev"', "sqlalchemy[asyncio]>=2.1"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)

    needed = packages.required(tmp_path)

    assert needed == {"fastapi": ("fastapi", "0.163"), "sqlalchemy": ("sqlalchemy", "2.1")}


# JupyterLab's kernel


@pytest.fixture
def kernel_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the kernel python3 one that runs this program."""
    from jupyter_client.kernelspec import KernelSpecManager

    def runs(program: str) -> None:
        spec = types.SimpleNamespace(argv=[program, "-m", "ipykernel_launcher"])
        monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: spec)

    return runs


def test_a_kernel_of_this_python_is_ready(kernel_runs: Callable[[str], None]) -> None:
    kernel_runs(sys.executable)

    assert packages.kernel() == Finding(
        "ready", "JupyterLab has the kernel python3, and it is this Python"
    )


def test_a_kernel_of_another_python_is_a_warning(kernel_runs: Callable[[str], None]) -> None:
    kernel_runs("/opt/other/bin/python")

    found = packages.kernel()

    assert (found.grade, found.what) == (
        "warning",
        "the kernel python3 is another Python: /opt/other/bin/python",
    )


def test_a_missing_kernel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def none(self: object, name: str) -> None:
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)

    assert packages.kernel() == Finding(
        "missing", "JupyterLab has no kernel named python3", INSTALL
    )


def test_a_missing_jupyterlab_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyter_client.kernelspec", None)

    assert packages.kernel().what == "JupyterLab is not installed"


# The model that stages ask for by default

MODELS = """
ChatModel: TypeAlias = Literal["new", "old", "older", "odd"]
\"""Deprecated values:

- "old", "older": Announced shutdown date: 2027-01-14. See
  https://example.com for details.
- "odd": Not a supported model ID. Retained for SDK compatibility.
\"""
"""


@pytest.fixture
def sdk_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a list of models as that of an installed SDK, and return its path."""
    monkeypatch.setattr(model, "installed", lambda name: "9.1")

    def lists(source: str) -> Path:
        (tmp_path / "chat_model.py").write_text(source)
        return tmp_path / "chat_model.py"

    return lists


def test_a_default_model_that_is_deprecated_is_a_warning(sdk_lists: Callable[[str], Path]) -> None:
    found = model.judge(sdk_lists(MODELS), "old")

    assert found == Finding(
        "warning",
        "the default model old is deprecated, says openai 9.1: Announced shutdown date: 2027-01-14",
        "Only a real provider minds. Name another model there, with CHAT_MODEL; see "
        "https://developers.openai.com/api/docs/deprecations",
    )


@pytest.mark.parametrize("deprecated", ["old", "older", "odd"])
def test_every_model_of_every_deprecated_group_is_found(
    sdk_lists: Callable[[str], Path], deprecated: str
) -> None:
    assert model.judge(sdk_lists(MODELS), deprecated).grade == "warning"


def test_a_default_model_that_is_not_deprecated_is_ready(sdk_lists: Callable[[str], Path]) -> None:
    assert model.judge(sdk_lists(MODELS), "new") == Finding(
        "ready", "openai 9.1 lists the default model new, and not as deprecated"
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "it has no list of models"),
        ("ChatModel: TypeAlias = Literal[", "'[' was never closed (<unknown>, line 1)"),
        (MODELS.partition('"""')[0], "its list says nothing of deprecated ones"),
        (MODELS.partition("\n- ")[0] + '"""', "its list of deprecated ones is empty"),
        (MODELS.replace("- ", "* - "), "its list of deprecated ones is empty"),
        (MODELS.replace('- "old"', "- old"), "its list of deprecated ones has another form than"),
        (MODELS.replace('"new", ', ""), "openai 9.1 has no new"),
    ],
)
def test_a_list_that_cannot_be_read_is_never_ready(
    sdk_lists: Callable[[str], Path], source: str, why: str
) -> None:
    found = model.judge(sdk_lists(source), "new")

    assert found.grade == "warning"
    assert found.what.startswith("cannot tell whether the default model new is deprecated: ")
    assert why in found.what


@pytest.mark.parametrize("source", [None, Path("nowhere") / "chat_model.py"])
def test_without_a_list_the_doctor_cannot_tell(source: Path | None) -> None:
    assert model.judge(source).what.startswith("cannot tell whether the default model ")


def test_the_sdk_that_was_tested_does_not_list_the_default_model_as_deprecated() -> None:
    """When `make constraints` makes this red, the stages need another model."""
    found = model.judge(model.listed())

    assert found.grade == "ready", found


def test_a_model_that_is_shut_down_in_2027_is_found_in_the_sdk_that_was_tested() -> None:
    assert "2027-01-14" in model.judge(model.listed(), "gpt-4o-mini").what


@pytest.mark.parametrize("stem", [entry.stem for entry in (*catalog.STAGES, *catalog.WRONG_TURNS)])
def test_every_stage_asks_for_the_default_model_of_the_doctor(stem: str) -> None:
    stages = examine.CHECKOUT / "stages"
    (path,) = [*stages.glob(f"{stem}.py"), *stages.glob(f"wrong_turns/{stem}.py")]

    (default,) = re.findall(r'"CHAT_MODEL", "(.+)"', path.read_text(encoding="utf-8"))

    assert default == model.DEFAULT_MODEL


def test_the_readme_names_the_default_model() -> None:
    readme = (examine.CHECKOUT / "README.md").read_text(encoding="utf-8")

    assert f"export CHAT_MODEL={model.DEFAULT_MODEL} " in readme


# The machine


@pytest.mark.parametrize(
    ("name", "grade"),
    [("Linux", "ready"), ("Darwin", "ready"), ("FreeBSD", "warning"), ("Windows", "missing")],
)
def test_linux_and_macos_are_fine(name: str, grade: str) -> None:
    assert examine.system(name).grade == grade


def test_windows_is_sent_to_wsl() -> None:
    assert "Work in WSL" in examine.system("Windows").remedy


def test_on_windows_nothing_else_is_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")

    assert len(list(examine.examine())) == 1


def test_sockets_of_this_machine_reach_each_other() -> None:
    assert machine.loopback() == Finding("ready", "sockets on 127.0.0.1 reach each other")


def test_sockets_that_do_not_reach_each_other_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(address: object, timeout: float) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("socket.create_connection", refused)

    found = machine.loopback()

    assert (found.grade, found.what) == (
        "missing",
        "sockets on 127.0.0.1 do not reach each other: [Errno 1] Operation not permitted",
    )


def test_processes_of_this_machine_share_a_clock() -> None:
    assert machine.clock() == Finding("ready", "all processes share one monotonic clock")


def test_a_clock_for_each_process_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "time", types.SimpleNamespace(monotonic=lambda: 0.0))

    found = machine.clock()

    assert (found.grade, found.what) == (
        "missing",
        "each process has a monotonic clock of its own",
    )


def test_a_free_port_is_ready() -> None:
    assert machine.port(0) == Finding("ready", "port 0 is free for `run`")


def test_a_port_in_use_is_a_warning_for_run_takes_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]

        found = machine.port(number)

    assert found == Finding(
        "warning", f"port {number} is in use", "`run` takes another one, and prints which."
    )


def test_no_proxy_is_ready() -> None:
    assert machine.proxy({}, bypassed=False).grade == "ready"


def test_a_proxy_that_leaves_out_this_machine_is_ready() -> None:
    assert machine.proxy({"http": "http://proxy:3128"}, bypassed=True).grade == "ready"


def test_a_proxy_on_the_way_to_this_machine_is_a_warning() -> None:
    found = machine.proxy({"http": "http://proxy:3128"}, bypassed=False)

    assert (found.grade, found.what) == (
        "warning",
        "a proxy is set, also for this machine itself: http through http://proxy:3128",
    )


def test_few_open_files_are_a_warning_with_the_command_that_helps() -> None:
    found = machine.open_files(256)

    assert found == Finding(
        "warning",
        "a process may open 256 files, and a crowd of clients needs 1024",
        "Before the tour, in the same terminal: ulimit -n 1024",
    )


@pytest.mark.parametrize("limit", [1024, -1])
def test_many_open_files_are_ready(limit: int) -> None:
    assert machine.open_files(limit).grade == "ready"


@pytest.mark.parametrize(("free_mb", "grade"), [(499, "warning"), (500, "ready")])
def test_a_full_disk_is_a_warning(free_mb: int, grade: str) -> None:
    assert machine.disk(free_mb).grade == grade


@pytest.mark.parametrize(("free_kb", "grade"), [(900_000, "warning"), (1_000_000, "ready")])
def test_little_memory_is_a_warning(tmp_path: Path, free_kb: int, grade: str) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 8000000 kB\nMemAvailable:  {free_kb} kB\n")

    assert [finding.grade for finding in machine.memory(meminfo)] == [grade]


def test_a_system_that_tells_no_free_memory_is_not_judged(tmp_path: Path) -> None:
    assert machine.memory(tmp_path / "none") == []


# The server


def test_a_server_that_does_not_start_is_missing_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(target: object, script: object) -> None:
        raise ProcessError("It ended with exit code 1.")

    monkeypatch.setattr("stages.lab.bench.bench.ask", broken)

    found = examine.server()

    assert (found.grade, found.what) == (
        "missing",
        "stage 1 does not start. It ended with exit code 1.",
    )


def test_a_server_that_answers_something_else_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "Goodbye")

    assert examine.server().what == "stage 1 answers 'Goodbye' instead of 'Hello'"


def test_a_server_that_is_slow_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "Hello")
    monkeypatch.setattr(examine, "QUICK_S", 0)

    assert examine.server().grade == "warning"


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    async def answer(target: object, script: object) -> object:
        return types.SimpleNamespace(told=types.SimpleNamespace(text=text))

    monkeypatch.setattr("stages.lab.bench.bench.ask", answer)


# The command


def test_a_check_that_is_broken_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise RuntimeError("oh")

    monkeypatch.setattr(machine, "clock", broken)
    answers(monkeypatch, "Hello")

    found = [finding.what for finding in examine.examine()]

    assert "a check itself failed: RuntimeError('oh')" in found
    assert found[-1].startswith("stage 1 started, answered and ended in ")


@pytest.mark.parametrize(
    ("missing", "warnings", "told"),
    [
        (0, 0, "This machine is ready."),
        (0, 1, "This machine is ready. One line marked ! says what may differ."),
        (0, 2, "This machine is ready. 2 lines marked ! say what may differ."),
        (1, 2, "This machine is not ready. One line marked ✗ says what is missing."),
        (3, 0, "This machine is not ready. 3 lines marked ✗ say what is missing."),
    ],
)
def test_the_last_line_is_the_verdict(missing: int, warnings: int, told: str) -> None:
    assert doctor.verdict(missing, warnings) == told


def test_a_machine_that_lacks_something_ends_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [Finding("ready", "Linux"), Finding("missing", "no rich", "Get rich.")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))

    code = doctor.doctor()

    assert code == 1
    assert capsys.readouterr().out == (
        "✓ Linux\n✗ no rich\n    Get rich.\n\n"
        "This machine is not ready. One line marked ✗ says what is missing.\n"
    )


def test_a_machine_with_warnings_is_ready_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [Finding("warning", "port 8000 is in use", "`run` takes another one.")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))

    code = doctor.doctor()

    assert code == 0
    assert capsys.readouterr().out.endswith(
        "Next\n  python -m stages tour  every probe on every stage, and the staircase\n"
    )
