"""`series` computes of scrapes what Prometheus would, and is simpler where it says so."""

import math

import pytest

from stages.lab.bench.scrape import Samples
from stages.lab.experiments.series import Look, Series, buckets, quantile

# As in a histogram of Prometheus, every bucket has those of the buckets before it.
TEN = {0.1: 2.0, 0.5: 8.0, 1.0: 10.0, math.inf: 10.0}


def ended(**outcomes: float) -> Samples:
    return Samples(
        {("ended", (("outcome", outcome),)): count for outcome, count in outcomes.items()}
    )


SERIES = Series(
    (
        Look(0.0, ended(completed=3)),
        Look(0.5, ended(completed=4)),
        Look(1.0, ended(completed=6)),
        Look(1.5, ended(completed=8, failed=1)),
    )
)


@pytest.mark.parametrize(
    ("share", "value"),
    [
        pytest.param(0.5, 0.3, id="three of the six in the middle bucket"),
        pytest.param(0.1, 0.05, id="half of the first bucket, which begins at 0"),
        pytest.param(0.8, 0.5, id="the bound itself"),
        pytest.param(1.0, 1.0, id="all"),
    ],
)
def test_a_quantile_lies_on_a_straight_line_within_its_bucket(share: float, value: float) -> None:
    assert quantile(share, TEN) == pytest.approx(value)


def test_a_quantile_above_the_last_bound_is_that_bound() -> None:
    assert quantile(0.9, {1.0: 1.0, math.inf: 10.0}) == 1.0


def test_what_differs_within_a_bucket_is_not_seen() -> None:
    """1.1 s and 2.4 s, in the buckets of OpenTelemetry: both are estimated as the same."""
    assert quantile(0.5, {1.0: 0.0, 2.5: 10.0, math.inf: 10.0}) == 1.75


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(0.5, {1.0: 0.0, math.inf: 0.0}) is None
    assert quantile(0.5, {}) is None


def test_the_buckets_are_those_of_one_histogram() -> None:
    samples = Samples({("a_bucket", (("le", "+Inf"),)): 4.0, ("b_bucket", (("le", "1.0"),)): 1.0})

    assert buckets(samples, "a") == {math.inf: 4.0}


def test_the_buckets_of_all_labels_are_added_up() -> None:
    samples = Samples(
        {
            ("a_bucket", (("le", "1.0"), ("outcome", "completed"))): 4.0,
            ("a_bucket", (("le", "1.0"), ("outcome", "failed"))): 1.0,
        }
    )

    assert buckets(samples, "a") == {1.0: 5.0}


def test_an_increase_is_that_from_the_first_scrape_to_the_last() -> None:
    assert SERIES.increase("ended") == 6
    assert SERIES.increase("ended", outcome="completed") == 5


def test_what_was_not_there_yet_has_grown_from_0() -> None:
    assert SERIES.increase("ended", outcome="failed") == 1


def test_a_rate_looks_back_on_one_second() -> None:
    assert SERIES.rates("ended", outcome="completed") == ((0.5, 2.0), (1.0, 3.0), (1.5, 4.0))


def test_values_are_those_of_every_scrape() -> None:
    assert SERIES.values("ended") == ((0.0, 3.0), (0.5, 4.0), (1.0, 6.0), (1.5, 9.0))


def test_the_values_of_a_label_are_those_that_came() -> None:
    assert SERIES.labels("ended", "outcome") == ["completed", "failed"]


def test_a_quantile_over_time_is_there_where_something_was_observed() -> None:
    def look(at_s: float, count: float) -> Look:
        samples = Samples()
        for bound in ("1.0", "+Inf"):
            samples["first_bucket", (("le", bound),)] = count
        return Look(at_s, samples)

    series = Series((look(0.0, 5), look(1.0, 5), look(2.0, 7), look(3.0, 7)))

    assert series.quantiles(0.5, "first") == ((2.0, 0.5),)
    assert series.quantile(0.5, "first") == 0.5
