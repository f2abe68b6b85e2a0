"""Signals: questions to a series of scrapes whose answers tell one incident from another.

They are what an alert would be made of. Nothing but the scrapes is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

from stages.lab.experiments.series import Series
from stages.lab.text import Text, table

IN_FLIGHT = "gen_ai_server_streams_in_flight"
STREAMS = "gen_ai_server_streams_total"
PROBLEMS = "gen_ai_server_problems_total"
FIRST_TOKEN_S = "gen_ai_server_time_to_first_token_seconds"

# Between a quiet day and an incident of the load: measured are 0.2 s and 1.3 s, and shares of 0 and
# 0.4, 0 and 0.4, 0.1 and 0.7.
SLOW_S = 0.6
REFUSED, STALLED, BROKEN = 0.15, 0.15, 0.35


@dataclass(frozen=True)
class Signal:
    """A yes/no question to a series, and what a yes says."""

    question: str
    yes_says: str
    holds: Callable[[Series], bool]


def _slow(series: Series) -> bool:
    median_s = series.quantile(0.5, FIRST_TOKEN_S)
    return median_s is not None and median_s > SLOW_S


def _refused(series: Series) -> bool:
    refused = series.increase(PROBLEMS, code="too_many_streams")
    return refused > REFUSED * (refused + series.increase(STREAMS))


def _ended(outcome: str, share: float) -> Callable[[Series], bool]:
    def holds(series: Series) -> bool:
        return series.increase(STREAMS, outcome=outcome) > share * series.increase(STREAMS)

    return holds


SIGNALS = (
    Signal(
        f"Is the median time to first token above {SLOW_S:g} s?",
        "the provider is slow",
        _slow,
    ),
    Signal(
        f"Has more than {REFUSED:.0%} of the requests found no slot?",
        "slots run out",
        _refused,
    ),
    Signal(
        f"Has more than {STALLED:.0%} of the streams been cut because nobody read?",
        "clients stall",
        _ended("client_stalled", STALLED),
    ),
    Signal(
        f"Has more than {BROKEN:.0%} of the streams failed upstream?",
        "the provider breaks off",
        _ended("upstream_failed", BROKEN),
    ),
)


def compare(quiet: Series, seen: Series) -> Text:
    """Return a table of the signals in two series. It is the same on every run."""
    rows = [(each.question, *_answers(each, quiet, seen), each.yes_says) for each in SIGNALS]
    return table(("question to the scrapes", "quiet day", "incident", "a yes says"), rows)


def _answers(signal: Signal, *of: Series) -> list[str]:
    return ["yes" if signal.holds(series) else "no" for series in of]
