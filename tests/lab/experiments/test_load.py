"""`load`: a crowd that is the same in every run, and whose incidents can be told apart."""

import asyncio
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import get_args

import pytest

from stages.lab.bench.scrape import NoMetrics
from stages.lab.experiments import load
from stages.lab.experiments.series import Series
from stages.lab.experiments.signals import IN_FLIGHT, PROBLEMS, SIGNALS, STREAMS, compare
from stages.lab.text import Text

Seen = Callable[[load.Cause | None], Series]

CAUSES = get_args(load.Cause)
# What the signals of each say yes to, in their order: slow, no slot, stalled, broken off.
YES: dict[load.Cause | None, str] = {
    None: "....",
    "the provider is slow": "x...",
    "clients stall": ".xx.",
    "the provider breaks off": "...x",
}


MORE = pytest.mark.slow("six more seconds of load each")
OBSERVED = (  # those that other tests here ask for anyway, and the others
    None,
    "clients stall",
    *(
        pytest.param(cause, marks=MORE)
        for cause in ("the provider is slow", "the provider breaks off")
    ),
)


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Return what gives each load, once and when it is asked for, on a real server."""
    return cache(lambda cause: asyncio.run(load.observe(6, cause)))


@pytest.mark.parametrize("cause", OBSERVED)
def test_the_scrapes_alone_tell_one_incident_from_another(
    seen: Seen, cause: load.Cause | None
) -> None:
    told = "".join(".x"[signal.holds(seen(cause))] for signal in SIGNALS)

    assert told == YES[cause]


def test_every_cause_is_told_apart() -> None:
    assert set(YES) == {None, *CAUSES}


@pytest.mark.parametrize("cause", OBSERVED)
def test_the_server_is_scraped_as_long_as_the_load_lasts(
    seen: Seen, cause: load.Cause | None
) -> None:
    times = [look.at_s for look in seen(cause).looks]

    assert len(times) == 26
    assert all(a < b for a, b in pairwise(times))
    assert load.LASTS_S <= times[-1] < load.LASTS_S + 1.0  # measured: 0.02 s late


def test_a_quiet_day_is_mixed(seen: Seen) -> None:
    assert seen(None).labels(STREAMS, "outcome") == [
        "client_closed",
        "completed",
        "upstream_failed",
    ]
    assert seen(None).increase(STREAMS, outcome="completed") > 20  # of 36 visits


def test_on_a_quiet_day_there_is_room(seen: Seen) -> None:
    most = max(value for _, value in seen(None).values(IN_FLIGHT))

    assert 0 < most < load.LIMIT


def test_clients_that_stall_take_every_slot(seen: Seen) -> None:
    most = max(value for _, value in seen("clients stall").values(IN_FLIGHT))

    assert most == load.LIMIT == seen("clients stall").limit
    assert "too_many_streams" in seen("clients stall").labels(PROBLEMS, "code")


@MORE
def test_a_slow_provider_leaves_more_streams_in_flight_and_room_all_the_same(
    seen: Seen,
) -> None:
    most = max(value for _, value in seen("the provider is slow").values(IN_FLIGHT))

    assert max(value for _, value in seen(None).values(IN_FLIGHT)) < most < load.LIMIT


def test_the_table_says_yes_and_no_and_no_number_of_the_run(
    seen: Seen,
) -> None:
    table: Text = compare(seen(None), seen("clients stall"))

    head, *rows = table.markdown.splitlines()
    assert head == "| question to the scrapes | quiet day | incident | a yes says |"
    assert rows[1:] == [
        "| Is the median time to first token above 0.6 s? | no | no | the provider is slow |",
        "| Has more than 15% of the requests found no slot? | no | yes | slots run out |",
        "| Has more than 15% of the streams been cut because nobody read? | no | yes "
        "| clients stall |",
        "| Has more than 35% of the streams failed upstream? | no | no | the provider breaks off |",
    ]


@pytest.mark.parametrize("cause", YES)
def test_the_crowd_is_the_same_in_every_run(cause: load.Cause | None) -> None:
    assert load.crowd(cause) == load.crowd(cause)


@pytest.mark.parametrize("cause", CAUSES)
def test_before_an_incident_begins_the_day_is_like_any_other(cause: load.Cause) -> None:
    def before(visits: list[load.Visit]) -> list[load.Visit]:
        return [visit for visit in visits if visit.at_s < load.BEGINS_S]

    assert before(load.crowd(cause)) == before(load.crowd()) != []


def test_a_seed_picks_the_same_cause_again_and_every_cause_can_be_picked() -> None:
    assert load.pick(7) == load.pick(7)
    assert {load.pick(seed) for seed in range(20)} == set(CAUSES)


def test_a_server_without_metrics_has_nothing_to_observe() -> None:
    with pytest.raises(NoMetrics, match="GET /metrics has status 404"):
        asyncio.run(load.observe(5))
