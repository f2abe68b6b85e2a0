"""Show: what notebooks call to put a result before a person's eyes.

Words come as Markdown, pictures as PNG: both are seen on GitHub as they are in Jupyter.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from stages.lab import diffs as _diffs
from stages.lab import text as _text
from stages.lab.bench.bench import Answer
from stages.lab.doctor.findings import Finding
from stages.lab.experiments import signals as _signals
from stages.lab.experiments.buffers import Buffers
from stages.lab.experiments.series import Series
from stages.lab.matrix.cells import Cell
from stages.lab.pictures import arrivals as _arrivals
from stages.lab.pictures import dashboard as _dashboard
from stages.lab.pictures import reservoirs as _reservoirs
from stages.lab.pictures import staircase as _staircase
from stages.lab.pictures import swimlane as _swimlane
from stages.lab.pictures import wire as _wire
from stages.lab.pictures.picture import Picture
from stages.lab.show import tables as _tables
from stages.lab.text import Text


def verdicts(cells: Sequence[Cell]) -> Text:
    """Return the table of some cells: mark, probe, finding. It is the same on every run."""
    return _tables.verdicts(cells)


def evidence(cell: Cell) -> Text:
    """Return the finding of a cell and every case that was tried. It is the same on every run."""
    return _tables.evidence(cell)


def timeline(of: Cell | Answer) -> Text:
    """Return what happened and when, in seconds since the client's request."""
    return _tables.timeline(of.timeline if isinstance(of, Answer) else of.verdict.timeline)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Text:
    """Return a table of anything that can be printed."""
    return _text.table(head, rows)


def course() -> Text:
    """Return the list of the stages: what each one claims, and what is new in it."""
    return _tables.course()


def doctor(findings: Iterable[Finding]) -> Text:
    """Return what `stages.lab.doctor.examine.examine` found, with what to do about it."""
    return _tables.doctor(findings)


def diff(a: str | int, b: str | int) -> Text:
    """Return the diff between two stages, or a stage and a wrong turn; raises TargetError."""
    return Text(_diffs.markdown(a, b), _diffs.unified(a, b).rstrip("\n"))


def wire(answer: Answer) -> Picture:
    """Return the picture of what went over the wire, line by line, and what became of it."""
    return _wire.draw(answer)


def swimlane(answer: Answer, title: str = "") -> Picture:
    """Return the picture of one answer: client, server and upstream, with time to the right."""
    return _swimlane.draw({title: answer})


def swimlanes(answers: Mapping[str, Answer]) -> Picture:
    """Return one picture of several answers, each under its title, on the same scale of time."""
    return _swimlane.draw(answers)


def staircase(cells: Sequence[Cell]) -> Picture:
    """Return the picture of the matrix, probes by stages."""
    return _staircase.draw(cells)


def arrivals(times_s: Mapping[str, Sequence[float]]) -> Picture:
    """Return the picture of when things arrived: a row for each name, seconds since the request."""
    return _arrivals.draw(times_s)


def reservoirs(measured: Mapping[str, Buffers]) -> Picture:
    """Return the picture of where the bytes sit: a group of bars for each `where_bytes_sit`."""
    return _reservoirs.draw(measured)


def dashboard(series: Series) -> Picture:
    """Return the picture of what a server said of itself; raises ValueError for a single scrape.

    `load.observe` returns such a series.
    """
    return _dashboard.draw(series)


def signals(quiet: Series, incident: Series) -> Text:
    """Return a table of what differs between two series. It is the same on every run."""
    return _signals.compare(quiet, incident)


def save(picture: Picture, path: str | Path) -> None:
    """Write a picture as its path ends: .svg, .png or .pdf; raises ValueError for others."""
    picture.save(path)
