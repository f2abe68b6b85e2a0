"""Progress: which exercises are right, kept in `work/` beside the learner's own files."""

import json
import os
from pathlib import Path

from stages.lab.checkout import ROOT

FOLDER = "STAGES_WORK"  # where another folder than work/ is wanted: the tests have one of their own


class ProgressError(ValueError):
    """A file of progress that cannot be read or written. The message says what to do."""


def folder() -> Path:
    """Return the folder of the learner's files; it need not be there yet."""
    return Path(os.environ.get(FOLDER) or ROOT / "work")


def path() -> Path:
    """Return the file of the progress."""
    return folder() / "progress.json"


def right() -> list[str]:
    """Return the exercises that were right once, in the order in which they were.

    Raises ProgressError for a file that is damaged.
    """
    try:
        document = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as exc:
        raise _unreadable(str(exc)) from exc
    match document:
        case {"right": [*keys]} if all(isinstance(key, str) for key in keys):
            return keys
    raise _unreadable("it does not hold a list called `right`")


def keep(key: str) -> None:
    """Note that an exercise is right; raises ProgressError."""
    done = right()
    if key not in done:
        _write([*done, key])


def note(key: str) -> str:
    """Note that an exercise is right; returns what to say when that failed, or nothing."""
    try:
        keep(key)
    except ProgressError as exc:
        return str(exc)
    return ""


def reset() -> int:
    """Forget what was right, and nothing else; returns how many exercises that were.

    A file that is damaged counts none, and is gone, too.
    """
    try:
        count = len(right())
    except ProgressError:
        count = 0
    path().unlink(missing_ok=True)
    return count


def _write(keys: list[str]) -> None:
    try:
        folder().mkdir(parents=True, exist_ok=True)
        fresh = path().with_suffix(".new")
        fresh.write_text(json.dumps({"right": keys}, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path())  # at once: an interrupt leaves the old one or the new one
    except OSError as exc:
        raise ProgressError(
            f"The progress could not be written to {path()}: {exc.strerror}. The check itself is "
            "done and right. Make the folder writable and check again."
        ) from exc


def _unreadable(why: str) -> ProgressError:
    return ProgressError(
        f"The progress in {path()} cannot be read: {why}. Probably it was edited. Mend it, or "
        "begin anew: python -m stages progress --reset"
    )
