"""Verdicts: the answer of a probe, and the evidence for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Who = Literal["client", "server", "upstream"]


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
class Verdict:
    """Green or red, with evidence.

    `finding` is one line in plain words. It holds no time that differs from run to run; the
    `timeline` does. `details` has one line for each case that the probe tried.
    """

    green: bool
    finding: str
    details: tuple[str, ...] = ()
    timeline: Timeline = ()

    @property
    def mark(self) -> str:
        """✓ for green, ✗ for red."""
        return "✓" if self.green else "✗"

    def __str__(self) -> str:
        return f"{self.mark} {self.finding}"


def judge(
    outcomes: Mapping[str, str | None], what_holds: str, timelines: Mapping[str, Timeline]
) -> Verdict:
    """Return the verdict on several cases.

    `outcomes` has a complaint, or None, for each case. `what_holds` is the finding when there is no
    complaint. A red verdict shows the first complaint and how many there are, and its timeline is
    that of the first case that failed, or the first of all where that case has none. Raises
    ValueError without a case: nothing was tried, so nothing is proved.
    """
    if not outcomes:
        raise ValueError("A verdict needs a case. Probably a probe filters all of its cases away.")
    complaints = {case: complaint for case, complaint in outcomes.items() if complaint is not None}
    details = tuple(
        f"✓ {case}" if complaint is None else f"✗ {case}: {complaint}"
        for case, complaint in outcomes.items()
    )
    first: Timeline = next(iter(timelines.values()), ())
    if not complaints:
        return Verdict(True, what_holds, details, first)
    case, complaint = next(iter(complaints.items()))
    count = "" if len(outcomes) == 1 else f" ({len(complaints)} of {len(outcomes)} cases fail)"
    return Verdict(False, f"{case}: {complaint}{count}", details, timelines.get(case, first))
