"""Scrape: what a server says of itself is summed over what was not asked for."""

import asyncio

import pytest

from stages.lab.bench.bench import Bench
from stages.lab.bench.scrape import NoMetrics, parse, scrape

PAGE = """# TYPE streams counter
streams_total{outcome="completed",worker="1"} 2.0
streams_total{outcome="completed",worker="2"} 3.0
streams_total{outcome="upstream_failed",worker="1"} 1.0
"""


def test_a_label_that_is_not_named_is_summed_over() -> None:
    assert parse(PAGE).at("streams_total", outcome="completed") == 5


def test_a_sample_is_found_by_all_of_its_labels() -> None:
    assert parse(PAGE).at("streams_total", outcome="completed", worker="2") == 3


def test_what_is_not_there_is_zero() -> None:
    assert parse(PAGE).at("streams_total", outcome="client_closed") == 0
    assert parse(PAGE).at("others_total") == 0


def test_what_has_come_since_is_a_difference() -> None:
    before = parse('# TYPE streams counter\nstreams_total{outcome="completed",worker="1"} 2.0\n')

    assert parse(PAGE).since(before).at("streams_total") == 4


def test_a_server_without_metrics_is_told_by_its_status() -> None:
    async def ask() -> None:
        with Bench("s02_json_safe") as bench:
            await scrape(bench.server)

    with pytest.raises(NoMetrics, match="GET /metrics has status 404"):
        asyncio.run(ask())
