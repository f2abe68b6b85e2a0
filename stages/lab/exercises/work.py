"""The learner's own files: made once, never overwritten unasked, and why one does not start."""

from pathlib import Path

from stages.lab.checkout import ROOT
from stages.lab.exercises import progress
from stages.lab.processes import tracebacks
from stages.lab.processes.process import NotReady, ProcessError


class WorkError(RuntimeError):
    """A file of the learner's that cannot be written. The message says what to do."""


def path_of(number: int) -> Path:
    """Return where the learner's stage of this number is."""
    return progress.folder() / f"s{number:02}.py"


def shown(path: Path) -> str:
    """Return a path as it is typed in the checkout."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def named(path: Path) -> str:
    """Return the folder and the name of a learner's file: `work/s03.py`, wherever the folder is."""
    return str(path.relative_to(progress.folder().parent))


def put(path: Path, text: str, *, overwrite: bool) -> Path | None:
    """Write a file that is not there yet; returns where one that was there has gone, if any.

    Raises FileExistsError when there is one and `overwrite` is false, and WorkError.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _set_aside(path) if path.exists() else None
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise WorkError(
            f"{shown(path)} could not be written: {exc.strerror}. Probably the folder is not "
            f"yours. Make it writable, or set {progress.FOLDER} to one that is."
        ) from exc
    return aside


def why_unreadable(exc: Exception) -> tuple[str, str]:
    """Return what is wrong with a file that Python cannot read, and two lines that point at it."""
    if not isinstance(exc, SyntaxError):
        return f"{type(exc).__name__}: {exc}", ""
    lead = f"line {exc.lineno}: "
    text = (exc.text or "").rstrip("\n").expandtabs(1)
    return f"{type(exc).__name__}: {exc.msg}", f"{lead}{text}\n{' ' * (len(lead) + _column(exc))}^"


def why_not_started(exc: ProcessError, path: Path) -> tuple[str, str]:
    """Return what a server that did not start said last, and the learner's line where that was."""
    told = str(exc)
    raised, line = tracebacks.last_in(told, path)
    if isinstance(exc, NotReady):
        return "nothing: it waits, and does not get ready", line
    return raised or told.splitlines()[-1].strip(), line


def _set_aside(path: Path) -> Path:
    numbers = range(1, 1_000)
    free = (path.with_name(f"{path.stem}.kept-{number}.py") for number in numbers)
    return path.rename(next(one for one in free if not one.exists()))


def _column(exc: SyntaxError) -> int:
    return max(0, (exc.offset or 1) - 1)
