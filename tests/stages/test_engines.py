"""On httptools and uvloop too, what s03 and s04 promise holds as the catalogue says.

A parser and a loop could change when a leave is noticed, and how much is buffered for a client.
The default engine, h11 and asyncio, is held to the whole catalogue by `test_catalog.py`.
"""

import asyncio
from collections.abc import Iterator

import pytest

from stages import catalog
from stages.lab.bench.bench import Bench
from stages.lab.matrix.cells import measure
from stages.lab.probes import Probe, all_probes
from tests.helpers.cells import hold

NUMBERS = (3, 4)
STEMS = [stage.stem for stage in catalog.STAGES if stage.number in NUMBERS]
PROBES = [probe for probe in all_probes() if probe.introduced_by in NUMBERS]

pytestmark = pytest.mark.slow("a second engine")


@pytest.fixture(scope="module", params=STEMS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with Bench(request.param, engine="uvloop") as bench:
        yield bench


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_on_uvloop_the_verdict_is_as_the_catalogue_says(bench: Bench, probe: Probe) -> None:
    hold(asyncio.run(measure(bench, probe)))
