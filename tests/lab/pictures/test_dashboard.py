"""`dashboard` draws what was scraped, and nothing else."""

import math
from dataclasses import replace

import pytest

from stages.lab.bench.scrape import Samples
from stages.lab.experiments.series import Look, Series
from stages.lab.experiments.signals import FIRST_TOKEN_S, IN_FLIGHT, PROBLEMS, STREAMS
from stages.lab.pictures import dashboard
from stages.lab.pictures.canvas import WIDTH_PX
from stages.lab.pictures.picture import Picture
from tests.helpers.pictures import clashes, labelled, texts


def scraped(at_s: float, in_flight: float, codes: tuple[str, ...] = (), **ended: float) -> Look:
    """A scrape with so many streams in flight and ended, all of which had a token after 0.3 s."""
    samples = Samples({(IN_FLIGHT, ()): in_flight})
    for outcome, count in ended.items():
        samples[STREAMS, (("outcome", outcome),)] = count
    for code in codes:
        samples[PROBLEMS, (("code", code),)] = at_s
    for bound, has in ((0.25, False), (0.5, True), (math.inf, True)):
        samples[f"{FIRST_TOKEN_S}_bucket", (("le", str(bound)),)] = sum(ended.values()) * has
    return Look(at_s, samples)


LOOKS = (scraped(0.0, 0), scraped(1.0, 4, completed=2), scraped(2.0, 16, completed=6, failed=1))
SERIES = Series(LOOKS, limit=16)
OUTCOMES = ("completed", "client_closed", "client_stalled", "upstream_failed", "server_stopped")
CODES = ("bad_request", "too_many_streams", "upstream_busy", "upstream_failed", "upstream_silent")


def heights(picture: Picture, label: str) -> list[float]:
    (line,) = labelled(picture, label)
    return list(line.get_ydata())


def test_there_are_four_panels() -> None:
    assert texts(dashboard.draw(SERIES), "title") == [
        "Streams in flight",
        "Streams that ended",
        "Time to first token",
        "Problems that clients were told",
    ]


def test_every_scrape_is_a_point_of_the_streams_in_flight() -> None:
    empty, some, full = heights(dashboard.draw(SERIES), "Streams in flight: in flight")

    assert (empty - some) / (empty - full) == pytest.approx(4 / 16)


def test_the_limit_lies_where_as_many_streams_would() -> None:
    picture = dashboard.draw(SERIES)

    assert heights(picture, "limit")[0] == heights(picture, "Streams in flight: in flight")[-1]
    assert "limit 16" in texts(picture, "legend")


def test_a_limit_that_is_not_known_is_not_drawn() -> None:
    picture = dashboard.draw(replace(SERIES, limit=None))

    assert labelled(picture, "limit") == []
    assert "limit 16" not in texts(picture, "legend")


def test_every_outcome_has_a_line_of_its_rate() -> None:
    picture = dashboard.draw(SERIES)

    two, four = heights(picture, "Streams that ended: completed")
    none, one = heights(picture, "Streams that ended: failed")
    assert (none - four) / (none - two) == pytest.approx(2)
    assert (none - one) / (none - four) == pytest.approx(1 / 4)


def test_the_time_to_first_token_is_that_of_its_buckets() -> None:
    half, most = (
        heights(dashboard.draw(SERIES), f"Time to first token: {name}")
        for name in ("half are faster", "nine in ten are faster")
    )

    assert len(half) == len(most) == 2
    assert most[0] < half[0]  # y goes down


def test_a_word_has_one_colour_in_all_panels() -> None:
    failing = Series((LOOKS[0], scraped(1.0, 1, ("upstream_failed",), upstream_failed=1)))
    picture = dashboard.draw(failing)

    (ended,) = labelled(picture, "Streams that ended: upstream_failed")
    (told,) = labelled(picture, "Problems that clients were told: upstream_failed")
    assert ended.get_color() == told.get_color()


def test_the_picture_says_in_words_what_it_shows() -> None:
    assert dashboard.draw(SERIES).alt == (
        "A dashboard of 2 s. Streams in flight (now): in flight up to 16.0, with a limit of 16. "
        "Streams that ended (a second): completed up to 4.0, failed up to 1.0. "
        "Time to first token (seconds, from buckets): half are faster up to 0.4, nine in ten are "
        "faster up to 0.5. Problems that clients were told (a second): none."
    )


def test_no_text_lies_over_another_where_there_is_everything() -> None:
    ended = dict.fromkeys(OUTCOMES, 120.0)
    picture = dashboard.draw(Series((LOOKS[0], scraped(5.0, 100, CODES, **ended)), limit=100))

    assert {*OUTCOMES, *CODES} <= set(texts(picture, "legend"))
    assert clashes(picture) == []
    assert picture.figure.get_size_inches()[0] * 100 == WIDTH_PX


def test_nothing_that_happened_is_an_empty_dashboard() -> None:
    picture = dashboard.draw(Series((scraped(0.0, 0), scraped(1.0, 0))))

    assert labelled(picture, "Streams that ended: completed") == []
    assert clashes(picture) == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_scrape_is_refused_with_its_reason(count: int) -> None:
    with pytest.raises(
        ValueError, match=rf"needs two scrapes or more, and this series has {count}"
    ):
        dashboard.draw(Series(LOOKS[:count]))
