"""The commands `exercise`, `check` and `progress`: the course as one learner works through it."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from stages import catalog
from stages.lab.checks import all_exercises, of_stage
from stages.lab.cli import report
from stages.lab.cli.console import (
    DISAGREES,
    INTERRUPTED,
    OK,
    PYTHON,
    UNMEASURED,
    UsageError,
    console,
    line,
    say,
    type_next,
)
from stages.lab.cli.report import Plan
from stages.lab.cli.tour import View
from stages.lab.exercises import progress, work
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Exercise
from stages.lab.exercises.outcome import MARKS, Outcome
from stages.lab.probes import find as find_probe
from stages.lab.processes.targets import find
from stages.lab.text import printable


def exercise(number: int, *, overwrite: bool) -> int:
    """Put the file of a build exercise into `work/`; returns the exit code.

    Raises UsageError for a number without one, and WorkError.
    """
    build = _build(number)
    out = console()
    say(out, repr(build.start(overwrite=overwrite)))
    commands = {f"{PYTHON} check {number}": f"{build.minutes} minutes of work later"}
    commands["make lab"] = f"the notebook that goes with it: notebooks/{build.stem}.ipynb"
    type_next(out, commands)
    return OK


def check(number: int, names: Sequence[str]) -> int:
    """Run the probes on the learner's file and report as a tour does; returns the exit code.

    Raises UsageError and ProbeError.
    """
    build = _build(number)
    probes = [find_probe(name) for name in dict.fromkeys(names)] or build.probes
    out = console()
    with out.status(f"Does {work.shown(build.path)} start, and answer?"):
        early = build.before_the_probes()
    if early is not None:
        return _close(out, build, early)
    view = View(Plan([find(str(build.path))], probes))
    count = f"{view.total} probe{'' if view.total == 1 else 's'}"
    say(out, (work.shown(build.path), "bold"), f"  {count}")
    try:
        with view.shown(out) as on_cell:
            outcome = build.measure([probe.name for probe in probes], on_cell)
    except KeyboardInterrupt:
        how_far = f"Interrupted after {len(view.cells)} of {view.total} probes."
        say(out, f"\n{how_far} Every server has been ended.")
        return INTERRUPTED
    report.evidence(out, view.cells)
    out.print()
    report.staircase(out, view.plan, view.cells)
    out.print()
    shown = tuple(one for one in outcome.lines if one[0] not in ("probes", "look"))
    return _close(out, build, replace(outcome, lines=shown))


def show_progress(*, reset: bool) -> int:
    """Print which exercises are right and what is next, or forget it; returns the exit code.

    Raises ProgressError.
    """
    out = console()
    if reset:
        count = progress.reset()
        what = f"{count} exercise{'' if count == 1 else 's'}"
        say(out, f"Forgotten: {what}. Your files in {work.shown(progress.folder())}/ stay.")
        return OK
    right, exercises = set(progress.right()), all_exercises()
    for stage in catalog.STAGES:
        line(out, (stage.stem, "bold"), f"  {stage.title}")
        for one in of_stage(stage.stem):
            done = one.key in right
            mark = Text(MARKS["right" if done else "not attempted"], "green" if done else "dim")
            line(out, "  ", mark, f" {one.name:<18} {one.minutes:>3} min  {one.difficulty}")
    left = [one for one in exercises if one.key not in right]
    last = max((i for i, one in enumerate(exercises) if one.key in right), default=-1)
    after = [one for one in exercises[last + 1 :] if one.key not in right]
    say(out, (f"\n{len(exercises) - len(left)} of {len(exercises)} have been right.", "bold"))
    if left:
        type_next(out, _next((after or left)[0]))  # who began with stage 4 goes on there
    return OK


def _build(number: int) -> Build:
    for one in all_exercises():
        if isinstance(one, Build) and one.number == number:
            return one
    last = catalog.STAGES[-1].number
    raise UsageError(
        f"There is no stage {number} to build. You build stages 2 to {last}, each from the one "
        f"before it: {PYTHON} exercise 2"
    )


def _close(out: Console, build: Build, outcome: Outcome) -> int:
    colour = {"✓": "bold green", "✗": "bold red", "·": "bold", "?": "bold yellow"}
    head, *rest = repr(outcome).split("\n")
    say(out, (printable(head), colour[head[0]]))
    for text in rest:
        say(out, printable(text))
    if commands := _commands(build, outcome):
        type_next(out, commands)
    if outcome.state == "not measured":
        return UNMEASURED
    return OK if outcome.state.startswith("right") else DISAGREES


def _commands(build: Build, outcome: Outcome) -> dict[str, str]:
    """Return what to type after a check, and what it shows."""
    file = work.shown(build.path)
    if outcome.state == "right":
        beside = f"{PYTHON} diff {file} {build.number}"
        return {f"{PYTHON} progress": "what is next", beside: "yours beside ours"}
    if outcome.probe:
        return {f"{PYTHON} probe {file} {outcome.probe}": "all its cases, the timeline, the log"}
    return {}


def _next(one: Exercise) -> dict[str, str]:
    where = f"the exercise {one.name} in notebooks/{one.stem}.ipynb"
    if isinstance(one, Build):
        return {f"{PYTHON} exercise {one.number}": where}
    return {"make lab": where}
