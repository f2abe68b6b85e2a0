"""The first `make` installs into .venv, by uv where there is one and by pip otherwise.

Python, uv and sleep are scripts that write down how they are called: nothing is installed.
"""

import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

WANTED = "-c constraints.txt -e .[dev,postgres]"
DEADLINE_S = 30.0  # for what takes a second on a machine that does nothing else

PYTHON = """#!/bin/sh
echo "python $*" >> "$CALLS"
case "$*" in
    *--without-pip) [ "${1}" = -m ] || exit 0 ;;
    -c*) exit "${CHECK_ENDS:-0}" ;;
    "-m pip --version") exit "${NO_PIP:-0}" ;;
    *pip*constraints.txt*) exit "${PIP_ENDS:-0}" ;;
esac
case "$*" in "-m venv "*.venv) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;; esac
"""
UV = """#!/bin/sh
echo "uv $* UV_PYTHON_DOWNLOADS=$UV_PYTHON_DOWNLOADS" >> "$CALLS"
[ -z "$TICKS" ] || until [ "$(wc -l < "$TICKS")" -gt 10 ]; do :; done
if [ -n "$HANG" ]; then trap 'exit 130' INT; echo started; while :; do sleep 1; done; fi
exit "${UV_ENDS:-0}"
"""
# A second that is shorter: ten of them are the time between two lines of the clock.
SLEEP = """#!/bin/sh
[ -z "$TICKS" ] || echo >> "$TICKS"
exec {sleep} 0.02
"""


@dataclass
class Checkout:
    """A checkout with nothing but what `make .venv/ready` reads, in a folder with a space."""

    folder: Path
    path: Path

    def script(self, name: str, source: str) -> None:
        (self.path / name).write_text(source)
        (self.path / name).chmod(0o755)

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": str(self.path), "CALLS": str(self.path / "calls"), **more}

    def make(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path / "make", *words, ".venv/ready"],
            cwd=self.folder,
            env=self.env(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    @property
    def calls(self) -> list[str]:
        file = self.path / "calls"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def is_ready(self) -> bool:
        return (self.folder / ".venv" / "ready").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout on a machine that has no uv."""
    made = Checkout(tmp_path / "a checkout", tmp_path / "bin")
    made.folder.mkdir()
    made.path.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, made.folder)
    for tool in ("make", "rm", "mkdir", "cp", "wc", "basename"):
        program = shutil.which(tool)
        assert program is not None
        (made.path / tool).symlink_to(program)
    made.script("python3.11", PYTHON)
    made.script("sleep", SLEEP.format(sleep=shutil.which("sleep")))
    return made


@pytest.fixture
def with_uv(checkout: Checkout) -> Checkout:
    """The same, on a machine that has uv."""
    checkout.script("uv", UV)
    return checkout


def test_uv_installs_where_it_is_on_the_path(with_uv: Checkout) -> None:
    run = with_uv.make()

    assert run.returncode == 0, run.stderr
    assert with_uv.calls[-1] == (
        "uv pip install --quiet --python .venv/bin/python --compile-bytecode "
        f"{WANTED} pip UV_PYTHON_DOWNLOADS=never"
    )
    assert with_uv.is_ready


def test_with_uv_nothing_is_asked_of_pip(with_uv: Checkout) -> None:
    with_uv.make()

    assert not [call for call in with_uv.calls if "-m pip" in call]


def test_without_uv_a_recent_pip_installs_the_same(checkout: Checkout) -> None:
    run = checkout.make()

    pip = "python -m pip --disable-pip-version-check install --quiet"
    assert run.returncode == 0, run.stderr
    assert checkout.calls[-3:] == [
        f"{pip} pip>=26",
        f"{pip} --no-compile {WANTED}",
        "python -m compileall -qq -j 0 .venv/lib",
    ]
    assert checkout.is_ready


@pytest.mark.parametrize(
    ("uv", "told"),
    [
        (True, "Installing into .venv with uv: up to a minute this once ..."),
        (False, "Installing into .venv with pip: one to three minutes this once ..."),
    ],
)
def test_the_first_line_says_how_long_it_may_take(checkout: Checkout, uv: bool, told: str) -> None:
    if uv:
        checkout.script("uv", UV)

    assert checkout.make().stdout.splitlines()[0] == told


def test_uv_that_fails_is_told_and_pip_installs(with_uv: Checkout) -> None:
    run = with_uv.make(UV_ENDS="2")

    assert run.returncode == 0
    assert run.stderr == (
        "uv could not install the packages; what it said is above. Going on with pip.\n"
    )
    assert f"--no-compile {WANTED}" in with_uv.calls[-2]
    assert with_uv.is_ready


def test_a_venv_that_uv_left_without_pip_gets_one(with_uv: Checkout) -> None:
    with_uv.make(UV_ENDS="2", NO_PIP="1")

    assert "python -m ensurepip --default-pip" in with_uv.calls


def test_an_install_that_fails_says_what_to_do_and_is_done_anew(checkout: Checkout) -> None:
    run = checkout.make(PIP_ENDS="1")

    assert run.returncode != 0
    assert run.stderr.splitlines()[:2] == [
        "The packages could not be installed; what pip said is above.",
        "Probably the network failed. Run the same command again: it starts from a new .venv.",
    ]
    assert not checkout.is_ready
    checkout.make()
    assert checkout.calls.count("python -m venv --clear .venv") == 2


@pytest.mark.parametrize("first", ["uv", "pip"])
def test_a_venv_is_ready_whichever_installer_is_there_later(checkout: Checkout, first: str) -> None:
    if first == "uv":
        checkout.script("uv", UV)
    checkout.make()
    before = checkout.calls
    if first == "uv":
        (checkout.path / "uv").unlink()
    else:
        checkout.script("uv", UV)

    checkout.make()

    assert checkout.calls == before


def test_a_venv_of_uv_is_brought_up_to_date_by_pip(with_uv: Checkout) -> None:
    with_uv.make()
    (with_uv.path / "uv").unlink()

    run = with_uv.make("-W", "constraints.txt")

    assert run.stdout.splitlines()[0] == "Installing into .venv with pip ..."
    assert sum("-m venv" in call for call in with_uv.calls) == 1


def test_another_interpreter_makes_another_venv(with_uv: Checkout) -> None:
    with_uv.make()
    with_uv.script("python3.99", PYTHON)

    with_uv.make("PYTHON=python3.99")

    assert with_uv.calls.count("python -m venv --clear --without-pip .venv") == 2


def test_a_python_without_ensurepip_is_enough_for_uv(with_uv: Checkout) -> None:
    assert with_uv.make(CHECK_ENDS="4").returncode == 0


def test_a_python_without_ensurepip_is_told_without_uv(checkout: Checkout) -> None:
    run = checkout.make(CHECK_ENDS="4")

    assert run.returncode != 0
    assert "Install what is missing, as root: apt install python3.11-venv" in run.stderr


# The clock


def test_in_a_file_the_clock_is_a_line_every_ten_seconds(with_uv: Checkout) -> None:
    run = with_uv.make(TICKS=ticks(with_uv))

    assert run.stdout.splitlines()[1] == "  10 s"


def test_on_a_terminal_the_clock_moves_every_second(with_uv: Checkout) -> None:
    screen, terminal = pty.openpty()
    with os.fdopen(screen, "rb", 0) as read, os.fdopen(terminal, "wb", 0) as write:
        argv, env = [str(with_uv.path / "make"), ".venv/ready"], with_uv.env(TICKS=ticks(with_uv))
        subprocess.run(
            argv, cwd=with_uv.folder, env=env, stdout=write, check=True, timeout=DEADLINE_S
        )

        shown = read.read(4096).decode()

    assert "  1 s\r  2 s\r" in shown


def ticks(checkout: Checkout) -> str:
    """Let the installer wait for ten seconds of the clock; returns the file that has them."""
    file = checkout.path / "ticks"
    file.touch()
    return str(file)


# dash is the sh of Debian, bash that of macOS, and bash goes on after
# Ctrl-C when what it waited for ended in good order.
@pytest.fixture(params=["sh", "bash"])
def interrupted(
    with_uv: Checkout, request: pytest.FixtureRequest
) -> Iterator[subprocess.Popen[str]]:
    """Press Ctrl-C while uv installs."""
    shell = shutil.which(request.param)
    if shell is None:
        pytest.skip(f"there is no {request.param}")
    with subprocess.Popen(
        [with_uv.path / "make", f"SHELL={shell}", ".venv/ready"],
        cwd=with_uv.folder,
        env=with_uv.env(HANG="yes"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as make:
        assert make.stdout is not None
        while make.stdout.readline() != "started\n":
            pass
        os.killpg(make.pid, signal.SIGINT)
        yield make


def test_ctrl_c_ends_the_install_and_its_clock(
    with_uv: Checkout, interrupted: subprocess.Popen[str]
) -> None:
    """All who can write have ended, when there is an end to read."""
    told, _ = interrupted.communicate(timeout=DEADLINE_S)

    assert interrupted.returncode != 0
    assert "Going on with pip" not in told
    assert not with_uv.is_ready
