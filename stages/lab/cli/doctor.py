"""The command `doctor`: each finding as it is made, and what to do about it."""

from rich.text import Text

from stages.lab.cli.console import DISAGREES, OK, PYTHON, console, item, say, type_next
from stages.lab.doctor.examine import examine
from stages.lab.doctor.findings import Finding, Grade

COLOURS: dict[Grade, str] = {"ready": "green", "warning": "bold yellow", "missing": "bold red"}


def doctor() -> int:
    """Examine this machine and print what was found; returns 0 when it is ready, else 1."""
    out = console()
    found: list[Finding] = []
    with out.status("examining this machine"):
        for finding in examine():
            found.append(finding)
            item(out, Text(finding.mark, COLOURS[finding.grade]), finding.what)
            if finding.remedy:
                say(out, (finding.remedy, "cyan"), indent=4)
    missing = sum(finding.grade == "missing" for finding in found)
    warnings = sum(finding.grade == "warning" for finding in found)
    say(out, ("\n" + verdict(missing, warnings), "bold"))
    if missing:
        return DISAGREES
    type_next(out, {f"{PYTHON} tour": "every probe on every stage, and the staircase"})
    return OK


def verdict(missing: int, warnings: int) -> str:
    """Return the last line: ready or not, and how many lines say why."""
    if missing:
        return f"This machine is not ready. {_lines(missing, '✗')} what is missing."
    if warnings:
        return f"This machine is ready. {_lines(warnings, '!')} what may differ."
    return "This machine is ready."


def _lines(count: int, mark: str) -> str:
    return f"One line marked {mark} says" if count == 1 else f"{count} lines marked {mark} say"
