"""Verdicts: the answer of a probe, and the evidence for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Who = Literal["client", "server", "upstream"]
State = Literal["green", "red", "unmeasured"]
MARKS: dict[State, str] = {"green": "✓", "red": "✗", "unmeasured": "?"}

# Of a bound: how much of it the machine may take before a lateness says nothing of the server.
PART = 0.5


@dataclass(frozen=True)
class Moment:
    """Something that happened. `at_s` counts from the client's request."""

    at_s: float
    who: Who
    what: str

    def __str__(self) -> str:
        return f"{self.at_s:8.3f} s  {self.who:<8}  {self.what}"


Timeline = tuple[Moment, ...]


@dataclass(frozen=True)
class Late:
    """A complaint about time alone: something came too late, or had not come by then.

    `bound_s` is that of the rule, and `taken_s` what the machine took from everybody meanwhile, by
    which the bound had already grown (`witness`).
    """

    what: str
    bound_s: float
    taken_s: float = 0.0

    def __str__(self) -> str:
        return self.what

    @property
    def undecided(self) -> bool:
        """Whether the machine took too much of the bound to say that the server was late."""
        return self.taken_s > PART * self.bound_s


Complaint = str | Late
Outcomes = Mapping[str, Complaint | None]


@dataclass(frozen=True)
class Verdict:
    """Green, red, or not measured, with evidence.

    `finding` is one line in plain words. It holds no time that differs from run to run, unless
    nothing was measured; the `timeline` does. `details` has one line for each case that was tried.
    """

    state: State
    finding: str
    details: tuple[str, ...] = ()
    timeline: Timeline = ()

    @property
    def green(self) -> bool:
        """Whether the rule holds. What is not green may be red, or not measured."""
        return self.state == "green"

    @property
    def red(self) -> bool:
        """Whether the rule does not hold. What is not red may be green, or not measured."""
        return self.state == "red"

    @property
    def measured(self) -> bool:
        """Whether the verdict says something of the server."""
        return self.state != "unmeasured"

    @property
    def mark(self) -> str:
        """✓ for green, ✗ for red, ? for a verdict that says nothing of the server."""
        return MARKS[self.state]

    def __str__(self) -> str:
        return f"{self.mark} {self.finding}"


def judge(
    outcomes: Outcomes, what_holds: str, timelines: Mapping[str, Timeline] | None = None
) -> Verdict:
    """Return the verdict on several cases.

    `outcomes` has a complaint, or None, for each case. `what_holds` is the finding when there is no
    complaint. A red verdict shows the first complaint and how many there are, and its timeline is
    that of the first case that failed, or the first of all where that case has none. When there is
    nothing but lateness, and the machine was too busy to tell whose it was, nothing is measured.
    Raises ValueError without a case: nothing was tried, so nothing is proved.
    """
    if not outcomes:
        raise ValueError("A verdict needs a case. Probably a probe filters all of its cases away.")
    timelines = timelines or {}
    complaints = {case: complaint for case, complaint in outcomes.items() if complaint is not None}
    first: Timeline = next(iter(timelines.values()), ())
    if not complaints:
        return Verdict("green", what_holds, _details(outcomes), first)
    sure = [case for case, complaint in complaints.items() if not _unsure(complaint)]
    case = next(iter(sure or complaints))
    timeline = timelines.get(case, first)
    if not sure:
        return Verdict("unmeasured", _busy(complaints[case]), _details(outcomes), timeline)
    count = "" if len(outcomes) == 1 else f" ({len(complaints)} of {len(outcomes)} cases fail)"
    return Verdict("red", f"{case}: {complaints[case]}{count}", _details(outcomes), timeline)


def complain(complaint: Complaint) -> Verdict:
    """Return the verdict of a probe that could not go on, and why."""
    if _unsure(complaint):
        return Verdict("unmeasured", _busy(complaint))
    return Verdict("red", str(complaint))


def _details(outcomes: Outcomes) -> tuple[str, ...]:
    return tuple(
        f"✓ {case}" if complaint is None else f"{_mark(complaint)} {case}: {complaint}"
        for case, complaint in outcomes.items()
    )


def _mark(complaint: Complaint) -> str:
    return MARKS["unmeasured" if _unsure(complaint) else "red"]


def _unsure(complaint: Complaint) -> bool:
    return isinstance(complaint, Late) and complaint.undecided


def _busy(complaint: Complaint) -> str:
    late = f" (woken {complaint.taken_s:.1f} s late)" if isinstance(complaint, Late) else ""
    return f"not measured, this machine was busy{late}: {complaint}"
