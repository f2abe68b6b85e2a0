"""Short exercises: a stub in a cell, a check that answers, three hints, and our solution.

The check runs in a process of its own, with a deadline (`exam`). Interrupt it at any time: it
ends with everything that it has started.
"""

import inspect
import pickle
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Literal

import cloudpickle

from stages.lab.exercises import exam, progress, solutions
from stages.lab.exercises.attempt import is_stub, show, source_of
from stages.lab.exercises.outcome import Outcome, not_measured
from stages.lab.matrix.cells import AGAIN
from stages.lab.processes.process import how_ended
from stages.lab.text import Text

Judge = Callable[[Any], str | Coroutine[Any, Any, str]]
Difficulty = Literal["easy", "medium", "hard"]


class CheckBroken(RuntimeError):
    """A check gave no outcome. The fault is the lab's: it answers, whatever is handed over."""


class Exercise:
    """What every exercise has: its place in the course, three rising hints, and its progress."""

    stem: str
    name: str
    minutes: int
    difficulty: Difficulty
    hints: tuple[str, str, str]
    _hinted = 0

    @property
    def key(self) -> str:
        """The name under which the progress is kept."""
        return f"{self.stem}/{self.name}"

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.minutes} minutes, {self.difficulty}. "
            f"Call {self.name}.check(…), {self.name}.hint() or {self.name}.solution()."
        )

    def hint(self, number: int | None = None) -> Text:
        """Return the next hint, or the one of this number; there are three.

        Raises ValueError for a number that there is not.
        """
        self._hinted = min(self._hinted + 1, len(self.hints)) if number is None else number
        return solutions.hint(self.hints, self._hinted)

    def _noted(self, outcome: Outcome) -> Outcome:
        """Keep that the answer is right; returns the outcome, with what went wrong in that."""
        told = progress.note(self.key) if outcome.state == "right" else ""
        return replace(outcome, lines=(*outcome.lines, ("progress", told))) if told else outcome


@dataclass(repr=False)
class Short(Exercise):
    """A short exercise. `check` takes the function or class that the learner has written.

    `judge` gets it in a process of its own, and returns one line that says what holds, or raises
    NotYet. It stands in the module in which the exercise is a variable of this `name`. `stub` is
    the name of what the learner writes, in the notebook and in `solutions/`. `or_else` says what
    else would have been right. `deadline_s` is for the whole check.
    """

    stem: str
    name: str
    stub: str
    minutes: int
    difficulty: Difficulty
    judge: Judge
    hints: tuple[str, str, str]
    or_else: str
    deadline_s: float = 10.0

    def check(self, answer: Any = None) -> Outcome:
        """Return what the check says: not attempted, not measured, not yet and why, or right.

        Where the machine was too busy to tell, it is done again, AGAIN times.
        Raises CheckBroken when the check itself fails.
        """
        call = f"{self.name}.check({self.stub})"
        if not inspect.isclass(answer) and not inspect.isroutine(answer):
            got = f"{show(answer)}, which is no function and no class"
            return self._cannot(call, got, f"Hand over {self.stub} itself, and not a call of it.")
        if is_stub(answer):
            todo = f"Write {self.stub} in place of its `...`, then run both cells again."
            return Outcome("not attempted", self.name, f"{todo} {self.name}.hint() helps.")
        try:
            pickled = cloudpickle.dumps((source_of(answer), answer))
        except (TypeError, AttributeError, pickle.PicklingError) as exc:
            rule = "The check runs in another process: an answer makes for itself what it needs."
            return self._cannot(call, f"{exc}. Probably it uses a variable of the notebook.", rule)
        outcome, left = self._examine(pickled), AGAIN
        while outcome.state == "not measured" and left:
            outcome, left = self._examine(pickled), left - 1
        told = solutions.other_kind(self.stem, answer, self.stub)
        if told and outcome.state == "not yet":
            return replace(outcome, lines=(*outcome.lines, ("note", told)))
        return self._noted(outcome)

    def solution(self) -> Text:
        """Return our solution, and what else would have been right."""
        return solutions.solution(self.stem, self.stub, self.or_else)

    def _examine(self, pickled: bytes) -> Outcome:
        ended = exam.hold(self.judge.__module__, self.name, pickled, self.deadline_s)
        if ended.outcome is not None:
            return replace(ended.outcome, printed=ended.printed)
        if ended.broken:
            raise CheckBroken(
                f"The check {self.name} gave no outcome. This is a fault of the lab, not of the "
                f"answer. Please report it with this text:\n{ended.printed}"
            )
        if ended.late is not None and ended.late.undecided:
            return not_measured(self.name, self.stub, ended.late)
        got = f"the process of the check ended {how_ended(ended.exit_code)}"
        if ended.late is not None:
            got = f"{ended.late}. Probably a step of C, or an import, never ends; its process did."
        return self._cannot(self.stub, got, "An answer returns or raises, and ends no process.")

    def _cannot(self, called: str, got: str, rule: str) -> Outcome:
        lines = (("called", called), ("got", got), ("rule", rule))
        return Outcome("not yet", self.name, "The check could not be done.", lines)
