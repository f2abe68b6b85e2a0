"""Build exercises: the previous stage in `work/`, made into the next one, checked by the probes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages import catalog
from stages.lab import diffs
from stages.lab.bench.bench import Bench
from stages.lab.checkout import ROOT
from stages.lab.exercises import work
from stages.lab.exercises.exercise import Difficulty, Exercise
from stages.lab.exercises.outcome import CALM, Outcome
from stages.lab.matrix import lanes
from stages.lab.matrix.cells import Cell, OnCell, ProbeBroken
from stages.lab.probes import Probe, ProbeError, all_probes
from stages.lab.probes import find as find_probe
from stages.lab.processes import tracebacks
from stages.lab.processes.process import STACKS, Process, ProcessError
from stages.lab.processes.targets import find
from stages.lab.text import Text
from stages.lab.upstream.script import Script

LOG_S = 2.0  # uvicorn logs a failure after its answer: milliseconds; the rest is for a busy machine
FIRST_ANSWER_S = 10.0  # measured: 0.1 s; a server that is silent this long would be in every probe
CONTRACT = "The file starts, its app is called `app`, and POST /chat answers text/event-stream."


@dataclass(repr=False)
class Build(Exercise):
    """A build exercise: `number` is that of the stage which the learner makes."""

    number: int
    minutes: int
    difficulty: Difficulty
    hints: tuple[str, str, str]
    name: str = "build"

    def __post_init__(self) -> None:
        self.stem = self.stage.stem

    @property
    def stage(self) -> catalog.Stage:
        """The stage which the learner makes."""
        return catalog.STAGES[self.number - 1]

    @property
    def base(self) -> catalog.Stage:
        """The stage which the learner starts from."""
        return catalog.STAGES[self.number - 2]

    @property
    def path(self) -> Path:
        """Where the learner's file is."""
        return work.path_of(self.number)

    @property
    def probes(self) -> list[Probe]:
        """The probes that have to be green."""
        return all_probes(up_to=self.number)

    def as_started(self) -> str:
        """Return what the learner's file holds at first: the task, and the previous stage."""
        names = [f"#   {probe.name}" for probe in self.probes if self._is_new(probe.name)]
        task = [
            f"# Stage {self.number}, yours to build. This is stage {self.number - 1} as it stands.",
            f"# {self.stage.title}.",
            "# Make these probes green, and keep green those that are:",
            *names,
            f"# What they ask for in detail is in notebooks/{self.stem}.ipynb, part 6.",
            f"# Check it: python -m stages check {self.number}",
        ]
        return "\n".join(task) + "\n\n" + _source(self.base)

    def start(self, *, overwrite: bool = False) -> Text:
        """Put the previous stage into `work/`, with the task above it; returns what was done.

        A file that is there is kept, unless `overwrite`: then it gets another name, and stays.
        Raises `work.WorkError` when the file cannot be written.
        """
        file, again = work.named(self.path), f"python -m stages exercise {self.number} --overwrite"
        try:
            aside = work.put(self.path, self.as_started(), overwrite=overwrite)
        except FileExistsError:
            return _said(f"{file} is there already and stays as it is. To begin anew: {again}")
        told = f"{file} is stage {self.number - 1}, with your task above it. Edit it, then check."
        kept = "" if aside is None else f" Your earlier file is {work.named(aside)} now."
        return _said(told + kept)

    def check(self, *names: str) -> Outcome:
        """Run every probe up to this stage on the learner's file, or those that are named.

        It is right when all are green.
        """
        try:
            probes = [find_probe(name) for name in names] or self.probes
        except ProbeError as exc:
            return Outcome("not yet", self.name, str(exc))
        return self.before_the_probes() or self.measure([each.name for each in probes])

    def before_the_probes(self) -> Outcome | None:
        """Return what can be said without a probe, None for a server that answers."""
        command = f"python -m stages exercise {self.number}"
        if not self.path.is_file():
            return self._not_attempted(f"There is no {work.named(self.path)} yet: {command}")
        try:
            text = self.path.read_text(encoding="utf-8")
            compile(text, str(self.path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError, UnicodeDecodeError) as exc:
            return self._failed(*work.why_unreadable(exc))
        if text.strip() == self.as_started().strip():
            return self._not_attempted(f"{work.named(self.path)} is still as it was made.")
        return asyncio.run(self._first_answer())

    def measure(self, names: Sequence[str], on_cell: OnCell = lambda cell: None) -> Outcome:
        """Return the outcome of these probes, on a file that can be probed.

        `on_cell` is told of each verdict as it comes.
        """
        try:
            cells = asyncio.run(lanes.tour([find(str(self.path))], on_cell, names=names))
        except ProcessError as exc:
            return self._failed(*work.why_not_started(exc, self.path))
        except ProbeBroken as exc:
            told = "A probe gave no verdict. That is a fault of the lab, and not of your file."
            again = "Check again. If it comes back, please report it with this text."
            return Outcome("not yet", self.name, told, (("got", str(exc)), ("do", again)))
        return self._judged(cells)

    def solution(self) -> Text:
        """Return the diff from the previous stage to ours."""
        markdown = diffs.markdown(self.base.stem, self.stem)
        return Text(markdown, diffs.unified(self.base.stem, self.stem).rstrip("\n"))

    def _is_new(self, name: str) -> bool:
        return not catalog.expected(name, self.base.stem)

    async def _first_answer(self) -> Outcome | None:
        try:
            with Bench(str(self.path)) as bench:
                answer = await bench.ask(Script.answer("Hello"), deadline_s=FIRST_ANSWER_S)
                client = answer.client
                if hangs := client.ended in (None, "left"):
                    bench.server.signal(STACKS)  # it writes where it stands
                failed = client.status is not None and client.status >= 500
                at = _where(bench.server, self.path, wait=hangs or failed)
        except ProcessError as exc:
            return self._failed(*work.why_not_started(exc, self.path))
        if hangs:
            begun = "nothing" if client.status is None else f"status {client.status}, and no end"
            got = f"{begun} in {FIRST_ANSWER_S:g} s. Probably it waits for something, or loops"
        elif client.status != 200:
            got = f"status {client.status}"
        elif not client.events:
            got = "an answer without an event"
        else:
            return None
        return self._failed(f"to one question: {got}", at)

    def _judged(self, cells: Sequence[Cell]) -> Outcome:
        red = [cell for cell in cells if cell.verdict.red]
        unsure = [cell for cell in cells if not cell.verdict.measured]
        rows = "\n".join(f"{cell.verdict.mark} {cell.probe}" for cell in cells)
        if unsure and not red:
            told = f"{len(unsure)} of {len(cells)} probes could not be measured. Try again."
            told_of = (("probes", rows), ("got", unsure[0].verdict.finding))
            return Outcome("not measured", self.name, told, (*told_of, ("do", CALM)))
        if not red:
            if {cell.probe for cell in cells} >= {probe.name for probe in self.probes}:
                told = f"All {len(cells)} probes up to stage {self.number} are green."
                return self._noted(Outcome("right", self.name, told))
            told = "What you named is green. Without a name, all of them are run."
            return Outcome("right so far", self.name, told, (("probes", rows),))
        first, lines = red[0], [("probes", rows)]
        lines += [("first", f"{first.probe}: {find_probe(first.probe).question}")]
        lines += [("got", first.verdict.finding), ("rule", find_probe(first.probe).rule)]
        more = f"python -m stages probe {work.shown(self.path)} {first.probe}"
        lines += [("look", f"{more}    all cases, the timeline, the log")]
        verb = "is" if len(red) == 1 else "are"
        told = f"{len(red)} of {len(cells)} probes {verb} red."
        return Outcome("not yet", self.name, told, tuple(lines), probe=first.probe)

    def _not_attempted(self, told: str) -> Outcome:
        return Outcome("not attempted", self.name, told)

    def _failed(self, got: str, at: str) -> Outcome:
        lines = [("called", f"uvicorn on {work.shown(self.path)}"), ("got", got)]
        lines += [("at", at)] if at else []
        return Outcome("not yet", self.name, "No probe could be run.", (*lines, ("rule", CONTRACT)))


def _where(server: Process, path: Path, *, wait: bool) -> str:
    """Return the last exception in a server's log and the learner's line, or the log's end."""
    end_s = time.monotonic() + LOG_S
    while wait and path.name not in server.log and time.monotonic() < end_s:
        server.wait(0.05)  # the answer is there before the log
    raised, line = tracebacks.last_in(server.log, path)
    return "\n".join(filter(None, (raised, line))) if line else server.log_tail()


def _source(stage: catalog.Stage) -> str:
    return (ROOT / "stages" / f"{stage.stem}.py").read_text(encoding="utf-8")


def _said(told: str) -> Text:
    return Text(told, told)
