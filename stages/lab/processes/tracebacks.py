"""Tracebacks in a log: what was raised last, and at which line of a learner's file."""

import re
from collections.abc import Sequence
from pathlib import Path

RAISED = re.compile(r"[A-Za-z_.]*(Error|Exception|Exit|Interrupt|Warning)\b")


def last_in(log: str, path: Path) -> tuple[str, str]:
    """Return the last exception in a log, and the line of this file, as `last`."""
    source = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return last(log, path.name, source)


def last(log: str, file: str, source: Sequence[str]) -> tuple[str, str]:
    """Return the last exception in a log, and the line of a file where that was, or where it hangs.

    `file` is the end of the file's path, `source` its lines. What the log does not have is empty.
    """
    lines = [line.strip(" |") for line in log.splitlines()]  # a group has bars at its side
    place = re.compile(rf'File "[^"]*{re.escape(file)}", line (\d+)')
    numbers = [int(match[1]) for line in lines if (match := place.match(line))]
    raised = "".join([line for line in lines if RAISED.match(line)][-1:])
    if not numbers:
        return raised, ""
    # The stack of a hang has the innermost frame first, a traceback has it last.
    hangs = any("most recent call first" in line for line in lines)
    number = numbers[0] if hangs else numbers[-1]
    text = source[number - 1].strip() if number <= len(source) else ""
    return raised, f"line {number}: {text}".removesuffix(": ")
