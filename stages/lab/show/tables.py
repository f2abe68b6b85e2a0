"""Tables, evidence and timelines, as Markdown for a notebook and as plain text elsewhere.

nbval compares both: nothing here but a timeline holds what differs from run to run.
"""

from collections.abc import Iterable, Sequence

from stages import catalog
from stages.lab.bench.verdict import Moment
from stages.lab.doctor.findings import Finding
from stages.lab.matrix.cells import Cell
from stages.lab.text import Text, aligned, escaped, printable, table

HEAD_MOMENTS, TAIL_MOMENTS = 30, 9  # one screen


def verdicts(cells: Sequence[Cell]) -> Text:
    """Return a table with a row for each cell: mark, probe, finding, and which server if many."""
    many = len({cell.target for cell in cells}) > 1
    rows = [
        (cell.verdict.mark, *([cell.target] if many else []), cell.probe, _finding(cell))
        for cell in cells
    ]
    head = ("", *(["server"] if many else []), "probe", "finding")
    return Text(table(head, rows).markdown, aligned(rows))


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
        return printable(cell.verdict.finding)
    wanted = "✓" if cell.expected else "✗"
    return printable(f"{cell.verdict.finding} (not expected: it should be {wanted})")


def evidence(cell: Cell) -> Text:
    """Return the finding of a cell and, line by line, the cases that the probe tried."""
    head, where = f"{cell.verdict.mark} {cell.probe}", f"on {cell.target}: {_finding(cell)}"
    details = [printable(detail) for detail in cell.verdict.details]
    markdown = [f"**{escaped(head)}** {escaped(where)}", ""]
    markdown += [f"- {escaped(detail)}" for detail in details]
    plain = [f"{head} {where}", *(f"  {detail}" for detail in details)]
    return Text("\n".join(markdown).rstrip(), "\n".join(plain))


def timeline(moments: Sequence[Moment]) -> Text:
    """Return what happened and when, in order; long ones without their middle."""
    lines = [printable(str(moment)) for moment in moments] or ["nothing was recorded"]
    left_out = len(lines) - HEAD_MOMENTS - TAIL_MOMENTS
    if left_out > 1:
        lines[HEAD_MOMENTS:-TAIL_MOMENTS] = [f"           … {left_out} more"]
    plain = "\n".join(lines)
    return Text(f"```text\n{plain}\n```", plain)
