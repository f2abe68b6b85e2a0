"""Outcomes: what a check says of a learner's answer, as Markdown and as plain text."""

import re
import time
from dataclasses import dataclass, field
from typing import Literal

from stages.lab.bench.verdict import Late
from stages.lab.text import escaped

State = Literal["not attempted", "not measured", "not yet", "right so far", "right"]
MARKS: dict[State, str] = {
    "not attempted": "·",
    "not measured": "?",  # the machine was too busy to tell: it is neither right nor wrong
    "not yet": "✗",
    "right so far": "✓",
    "right": "✓",
}

CALM = "Close what keeps this machine busy, and check again. It is neither right nor wrong."


class NotYet(Exception):
    """An answer that does not hold: one call, what came of it, and the rule that it breaks.

    `got` and `expected` are for a person. `rule` says which rule it is and names its source. `at`
    points at the place, in lines that stand under each other: the bytes and a caret, or the moments
    of a timeline.

    `within_s` is for a complaint about time alone: something had not come after so many seconds.
    Nothing else would be another on a slower machine.
    """

    def __init__(
        self,
        call: str,
        got: str,
        expected: str,
        rule: str,
        at: str = "",
        within_s: float | None = None,
    ) -> None:
        super().__init__(f"{call}: {got}")
        self.call, self.got, self.expected, self.rule, self.at = call, got, expected, rule, at
        self.within_s, self.said_s = within_s, time.monotonic()


@dataclass(frozen=True)
class Outcome:
    """What a check says. `finding` is one line; `lines` are a name and a text each, in order.

    `probe` is the one to look at first, where a probe has decided.

    Nothing here but `printed`, what the learner's code wrote, differs from run to run unless the
    answer does, or nothing was measured.
    """

    state: State
    exercise: str
    finding: str
    lines: tuple[tuple[str, str], ...] = ()
    printed: str = field(default="", compare=False)
    probe: str = ""

    def __repr__(self) -> str:
        head = f"{MARKS[self.state]} {self.exercise}: {self.state}. {self.finding}".rstrip()
        return "\n".join([head, *self._body()])

    def _repr_markdown_(self) -> str:
        state = f"**{self.exercise}: {self.state}.**"
        head = f"{MARKS[self.state]} {state} {escaped(self.finding)}".rstrip()
        body = "\n".join(self._body())
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
        return f"{head}\n\n{fence}text\n{body}\n{fence}" if body else head

    def _body(self) -> list[str]:
        parts = [*self.lines, *([("printed", self.printed)] if self.printed else [])]
        wide = max((len(name) for name, _ in parts), default=0)
        return [
            f"  {name if first else '':<{wide}}  {line}".rstrip()
            for name, text in parts
            for first, line in ((i == 0, line) for i, line in enumerate(text.split("\n")))
        ]


def not_yet(exercise: str, found: NotYet) -> Outcome:
    """Return the outcome of an answer that does not hold."""
    lines = [("called", found.call), ("got", found.got), ("expected", found.expected)]
    lines += [("at", found.at)] if found.at else []
    return Outcome("not yet", exercise, "", (*lines, ("rule", found.rule)))


def not_measured(exercise: str, called: str, late: Late) -> Outcome:
    """Return the outcome of an answer that was late, on a machine that was too busy to say more."""
    got = f"{late} (this machine was busy for {late.taken_s:.1f} s)"
    told = "This machine was too busy to tell. Try again."
    return Outcome("not measured", exercise, told, (("called", called), ("got", got), ("do", CALM)))
