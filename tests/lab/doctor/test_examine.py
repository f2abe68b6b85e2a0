"""The doctor says whether a machine is ready for the workshop, and what to do where it is not."""

import types

import pytest

from stages.lab.doctor import examine, machine
from stages.lab.doctor.findings import Finding
from stages.lab.processes.process import ProcessError


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


def test_a_check_that_is_broken_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise RuntimeError("oh")

    monkeypatch.setattr(machine, "clock", broken)
    answers(monkeypatch, "Hello")

    found = [finding.what for finding in examine.examine()]

    assert "a check itself failed: RuntimeError('oh')" in found
    assert found[-1].startswith("stage 1 started, answered and ended in ")
