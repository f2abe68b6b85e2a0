"""Tables, evidence and timelines, as Markdown for a notebook and as plain text elsewhere.

Markdown, because it is all that GitHub leaves of a notebook's styling. A notebook stores both, and
nbval compares both: nothing here but a timeline holds what differs from run to run.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stages import catalog
from stages.lab.findings import Finding
from stages.lab.matrix import Cell
from stages.lab.verdict import Moment

HEAD_MOMENTS, TAIL_MOMENTS = 30, 9  # one screen

# What Markdown, HTML or the formulas of Jupyter would take for theirs.
# https://spec.commonmark.org/0.31.2/#backslash-escapes
SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&])")


@dataclass(frozen=True)
class Text:
    """A text for a person. Jupyter shows the Markdown, everything else shows the plain one."""

    markdown: str
    plain: str

    def __repr__(self) -> str:
        return self.plain

    def _repr_markdown_(self) -> str:
        return self.markdown


def verdicts(cells: Sequence[Cell]) -> Text:
    """Return a table with a row for each cell: mark, probe, finding, and which server if many."""
    many = len({cell.target for cell in cells}) > 1
    rows = [
        (cell.verdict.mark, *([cell.target] if many else []), cell.probe, _finding(cell))
        for cell in cells
    ]
    head = ("", *(["server"] if many else []), "probe", "finding")
    return Text(table(head, rows).markdown, _aligned(rows))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Text:
    """Return a table of anything that can be printed, one row a line."""
    words = [[str(word) for word in row] for row in rows]
    lines = [head, ["---"] * len(head), *(map(escaped, row) for row in words)]
    return Text("\n".join(f"| {' | '.join(line)} |" for line in lines), _aligned([head, *words]))


def course() -> Text:
    """Return the list of the stages: number, stem, claim, what is new."""
    head = ("stage", "file", "its claim", "what is new")
    stages = catalog.STAGES
    return table(head, [(stage.number, stage.stem, stage.title, stage.fix) for stage in stages])


def doctor(findings: Iterable[Finding]) -> Text:
    """Return what the doctor found, one line each, with what to do about it."""
    rows = [(finding.mark, finding.what, finding.remedy) for finding in findings]
    return table(("", "this machine", "what to do"), rows)


def _finding(cell: Cell) -> str:
    if cell.as_expected is not False:
        return _printable(cell.verdict.finding)
    wanted = "✓" if cell.expected else "✗"
    return _printable(f"{cell.verdict.finding} (not expected: it should be {wanted})")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def evidence(cell: Cell) -> Text:
    """Return the finding of a cell and, line by line, the cases that the probe tried."""
    head, where = f"{cell.verdict.mark} {cell.probe}", f"on {cell.target}: {_finding(cell)}"
    details = [_printable(detail) for detail in cell.verdict.details]
    markdown = [f"**{escaped(head)}** {escaped(where)}", ""]
    markdown += [f"- {escaped(detail)}" for detail in details]
    plain = [f"{head} {where}", *(f"  {detail}" for detail in details)]
    return Text("\n".join(markdown).rstrip(), "\n".join(plain))


def timeline(moments: Sequence[Moment]) -> Text:
    """Return what happened and when, in order; long ones without their middle."""
    lines = [_printable(str(moment)) for moment in moments] or ["nothing was recorded"]
    left_out = len(lines) - HEAD_MOMENTS - TAIL_MOMENTS
    if left_out > 1:
        lines[HEAD_MOMENTS:-TAIL_MOMENTS] = [f"           … {left_out} more"]
    plain = "\n".join(lines)
    return Text(f"```text\n{plain}\n```", plain)


def escaped(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return SPECIAL.sub(r"\\\1", text)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
