"""What the commands share: where they write, how they fail, and with which exit code they end."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

OK, DISAGREES, WRONG_USAGE, UNMEASURED = 0, 1, 2, 3
INTERRUPTED = 130  # 128 + SIGINT, as a shell counts

PYTHON = "python -m stages"  # what a learner types; the commands in our messages start with it

Part = str | tuple[str, str] | Text  # a piece of text, plain or with its style


class UsageError(ValueError):
    """A command line that cannot be meant. The message says what to type instead."""


class CommandError(RuntimeError):
    """A command that cannot do its part. The message says what happened, why, and what to do."""


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it stands: a finding may hold `[DONE]` or `:x:`.

    It draws over what it has drawn only on a real terminal, also where FORCE_COLOR is set.
    """
    still = None if (sys.stderr if stderr else sys.stdout).isatty() else False
    return Console(
        stderr=stderr, markup=False, emoji=False, highlight=False, force_interactive=still
    )


def say(out: Console, *parts: Part, indent: int = 0) -> None:
    """Print a paragraph: wrapped on a terminal, one long line in a file or a pipe."""
    text = Text.assemble(*parts)
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, indent)))
    else:
        out.print(Text(" " * indent).append_text(text), soft_wrap=True)


def item(out: Console, mark: Text, *parts: Part) -> None:
    """Print a paragraph behind a mark; on a terminal, its further lines stand under the first."""
    if out.is_terminal:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_row(mark, Text.assemble(*parts))
        out.print(grid)
    else:
        say(out, mark, " ", *parts)


def line(out: Console, *parts: Part) -> None:
    """Print one line: cut to the width of a terminal, whole in a file or a pipe."""
    text = Text.assemble(*parts)
    if out.is_terminal:
        out.print(text, no_wrap=True, overflow="ellipsis")
    else:
        out.print(text, soft_wrap=True)


def type_next(out: Console, commands: Mapping[str, str]) -> None:
    """Print what to type next: commands, and what each one shows."""
    wide = max(map(len, commands))
    say(out, ("\nNext", "bold"))
    for command, shows in commands.items():
        line(out, "  ", (f"{command:<{wide}}", "cyan"), f"  {shows}")


def can_write(path: str, *endings: str) -> None:
    """Raise UsageError when a result could not be written to this path, before the work begins."""
    if path == "-":
        return
    place = Path(path)
    if endings and place.suffix not in endings:
        raise UsageError(
            f"{path} does not end in {' or '.join(endings)}, so its format is not clear. "
            f"Give it one of these endings."
        )
    if place.is_dir() or not place.absolute().parent.is_dir():
        what = "is a folder" if place.is_dir() else "is in a folder that does not exist"
        raise UsageError(f"The result cannot be written: {path} {what}. Give another path.")
    if not os.access(place if place.exists() else place.absolute().parent, os.W_OK):
        raise UsageError(f"The result cannot be written: {path} is not writable. Give another one.")


def keep(out: Console, path: str, text: str) -> None:
    """Write verdicts to a file and say so, or to stdout when the path is `-`."""
    if path == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        Path(path).write_text(text, encoding="utf-8")
        say(out, f"\nEvery verdict with its evidence is in {path}")


def explain(exc: Exception) -> tuple[int, str] | None:
    """Return the exit code and the message of an error that is no bug of this kit, else None."""
    from stages.lab.exercises.progress import ProgressError
    from stages.lab.exercises.work import WorkError
    from stages.lab.matrix.cells import ProbeBroken
    from stages.lab.probes import ProbeError
    from stages.lab.processes.process import ProcessError
    from stages.lab.processes.targets import TargetError

    if isinstance(exc, UsageError | TargetError):
        return WRONG_USAGE, str(exc)
    if isinstance(exc, ProbeError):
        return WRONG_USAGE, str(exc)
    if isinstance(exc, ProcessError | CommandError | ProgressError | WorkError):
        return DISAGREES, str(exc)
    if isinstance(exc, ProbeBroken):
        return DISAGREES, (
            f"{exc}\nThis is a fault of the lab, not of the server: a probe answers whatever a "
            f"server does. Run it again; if it comes back, please report it with this text."
        )
    return None


def missing_package(exc: ModuleNotFoundError) -> str | None:
    """Return the message for a package that is not installed; None for a module of this kit."""
    package = (exc.name or "").partition(".")[0]
    if package in ("", "stages"):
        return None
    if package in ("fcntl", "resource"):
        return "This is Windows, and the servers here need Unix. Work in WSL."
    return (
        f"The package {package} is not installed in {sys.executable}. Probably this is not the "
        f"Python of the kit. `make tour` makes it in .venv; then use .venv/bin/python, "
        f"or activate it: . .venv/bin/activate"
    )


def tolerate(stream: TextIO) -> None:
    """Make a stream show what its encoding lacks as `\\u2713` instead of raising."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def fail(told: str) -> None:
    """Print an error to stderr."""
    say(console(stderr=True), ("Error: ", "bold red"), told)
