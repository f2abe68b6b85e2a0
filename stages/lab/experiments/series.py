"""Series: scrapes of one server over time, and what Prometheus computes of them.

Simpler than there: a rate is the difference of two scrapes, nothing is extrapolated, and a sample
that is not there yet counts as 0.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stages.lab.bench.scrape import Samples

WINDOW_S = 1.0  # what a rate looks back on: five scrapes of the lab, and four are what is advised

Line = tuple[tuple[float, float], ...]  # time in seconds and value


@dataclass(frozen=True)
class Look:
    """One scrape. `at_s` counts from the first one of its series."""

    at_s: float
    samples: Samples


@dataclass(frozen=True)
class Series:
    """Scrapes in order of time. `limit` is that of streams in flight, which no metric says."""

    looks: tuple[Look, ...]
    limit: int | None = None

    def labels(self, name: str, label: str) -> list[str]:
        """Return the values that a label has had, in alphabetical order."""
        found = {
            dict(labels)[label]
            for look in self.looks
            for sample, labels in look.samples
            if sample == name and label in dict(labels)
        }
        return sorted(found)

    def values(self, name: str, **labels: str) -> Line:
        """Return the value of a sample at each scrape."""
        return tuple((look.at_s, look.samples.at(name, **labels)) for look in self.looks)

    def increase(self, name: str, **labels: str) -> float:
        """Return how much a counter has grown from the first scrape to the last."""
        return self._all().at(name, **labels)

    def rates(self, name: str, **labels: str) -> Line:
        """Return how much a counter grew a second, over the last WINDOW_S of each scrape."""
        return tuple(
            (now.at_s, grown.at(name, **labels) / (now.at_s - then.at_s))
            for then, now, grown in self._windows()
        )

    def quantiles(self, share: float, name: str) -> Line:
        """Return a quantile of a histogram over the last WINDOW_S of each scrape that has one."""
        return tuple(
            (now.at_s, value)
            for _, now, grown in self._windows()
            if (value := quantile(share, buckets(grown, name))) is not None
        )

    def quantile(self, share: float, name: str) -> float | None:
        """Return a quantile of a histogram over the whole series; None without an observation."""
        return quantile(share, buckets(self._all(), name))

    def _all(self) -> Samples:
        return self.looks[-1].samples.since(self.looks[0].samples)

    def _windows(self) -> Iterator[tuple[Look, Look, Samples]]:
        first, *later = self.looks
        for now in later:
            earlier = [look for look in later if look.at_s <= now.at_s - WINDOW_S]
            then = earlier[-1] if earlier else first
            yield then, now, now.samples.since(then.samples)


def buckets(samples: Samples, name: str) -> dict[float, float]:
    """Return a histogram as Prometheus keeps it: how many were at most so much, for each bound.

    Its labels other than the bound are summed over.
    """
    found: defaultdict[float, float] = defaultdict(float)
    for (sample, labels), value in samples.items():
        if sample == f"{name}_bucket":
            found[float(dict(labels)["le"])] += value
    return dict(found)


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return the estimate of a quantile; None when nothing was observed.

    It lies on a straight line between the bounds of its bucket, and where that is the last one,
    which has no upper bound, on its lower bound.
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    rank = share * buckets.get(math.inf, 0)
    lower, below = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank and count > below:
            inside = (rank - below) / (count - below)
            return lower if bound == math.inf else lower + (bound - lower) * inside
        lower, below = bound, count
    return None
