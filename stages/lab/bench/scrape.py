"""Scrape: what a server under test says of itself at `/metrics`."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stages.lab.processes.process import Process

SCRAPE_S = 10.0  # it takes milliseconds

Sample = tuple[str, tuple[tuple[str, str], ...]]


class NoMetrics(Exception):
    """A server has no `/metrics`; the message says what it answered."""


class Samples(dict[Sample, float]):
    """The samples of one scrape; what is not there counts as 0, as in a sum over time."""

    def at(self, name: str, **labels: str) -> float:
        """Return the value of a sample; labels that are not named are summed over."""
        return sum(
            value
            for (sample, found), value in self.items()
            if sample == name and labels.items() <= dict(found).items()
        )

    def since(self, before: Mapping[Sample, float]) -> "Samples":
        """Return what has come since an earlier scrape."""
        return Samples({key: value - before.get(key, 0) for key, value in self.items()})


async def metrics_page(server: Process) -> str:
    """Return the page as it is; raises NoMetrics."""
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=SCRAPE_S) as http:
        response = await http.get(f"{server.url}/metrics")
    if response.status_code != 200:
        raise NoMetrics(f"GET /metrics has status {response.status_code}")
    return response.text


def parse(page: str) -> Samples:
    """Return all samples of a page."""
    return Samples(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }
    )


async def scrape(server: Process) -> Samples:
    """Return all samples of a server; raises NoMetrics."""
    return parse(await metrics_page(server))
