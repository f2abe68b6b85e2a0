"""`doctor` says in its last line whether this machine is ready, and with its exit code."""

import re

import pytest

from stages.lab.cli import doctor
from stages.lab.doctor.findings import Finding
from tests.helpers.commands import started


def test_the_doctor_finds_this_machine_ready() -> None:
    with started("doctor") as running:
        code = running.end()

    assert code == 0
    assert re.search(r"\n✓ stage 1 started, answered and ended in \d+\.\d s\n", running.printed)
    assert "\nThis machine is ready." in running.printed


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
