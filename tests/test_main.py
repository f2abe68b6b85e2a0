"""`python -m stages` helps whoever types it wrong, or has the wrong Python."""

import runpy
import subprocess
import sys

import pytest

from tests.helpers.commands import Command, in_process
from tests.helpers.places import ROOT


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return in_process(capsys, monkeypatch)


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


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))

    with pytest.raises(SystemExit, match=r"This is Python 3\.9, and the kit needs 3\.11 or newer"):
        runpy.run_path(str(ROOT / "stages" / "__main__.py"), run_name="__main__")
