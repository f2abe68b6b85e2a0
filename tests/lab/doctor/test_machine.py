"""The doctor on the machine: what would make verdicts differ there is a warning or missing."""

import socket
import types
from pathlib import Path

import pytest

from stages.lab.doctor import machine
from stages.lab.doctor.findings import Finding


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
