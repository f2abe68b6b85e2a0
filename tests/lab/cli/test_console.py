"""A command shows what the stream can, and an error that a person can mend has no traceback."""

import sys

import pytest

from stages.__main__ import main
from stages.lab.cli import listing
from stages.lab.matrix.cells import ProbeBroken
from stages.lab.processes.process import ProcessError
from tests.helpers.commands import Command, started
from tests.helpers.lab import Lab


def test_an_encoding_without_the_marks_gets_their_numbers() -> None:
    with started("diff", "1", "1", PYTHONIOENCODING="ascii") as running:
        code = running.end()

    assert (code, running.printed) == (0, "s01_naive \\u2192 s01_naive: no line differs.\n")


def test_an_unknown_stage_is_wrong_usage_and_says_what_there_is(command: Command) -> None:
    ended = command("probe", "9")

    assert ended.code == 2
    assert ended.err.startswith("Error: '9' is no stage and no file. Stages: 1 (s01_naive), ")


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


def test_a_bug_of_ours_keeps_its_traceback(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.failure, lab.fails_after = ZeroDivisionError("ours"), 0
    monkeypatch.setattr(sys, "argv", ["stages", "tour"])

    with pytest.raises(ZeroDivisionError, match="ours"):
        main()
