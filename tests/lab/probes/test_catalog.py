"""The matrix: on every stage and wrong turn, every probe gives the verdict of the catalogue.

Both ways: an unexpected green is a failure too. If a stage stops losing text because a library has
changed, the course must change.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from stages import catalog
from stages.lab.matrix.cells import Cell
from stages.lab.matrix.lanes import COUNT, tour
from stages.lab.probes import Probe, all_probes, of_wrong_turn
from stages.lab.processes.targets import find
from tests.helpers.cells import hold

STEMS = [entry.stem for entry in (*catalog.STAGES, *catalog.WRONG_TURNS)]
PROBES = all_probes()


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Iterator[Callable[[str], dict[str, Cell]]]:
    """Give what waits for the cells of a target: those of the probes that this run asks for.

    All targets are one tour, so that no lane is idle while a test looks at what another has found.
    """
    names = defaultdict[str, list[str]](list)
    for item in request.session.items:
        if (call := getattr(item, "callspec", None)) and {"stem", "probe"} <= call.params.keys():
            names[call.params["stem"]].append(call.params["probe"].name)
    gate = asyncio.Semaphore(COUNT)

    async def measure(stem: str) -> dict[str, Cell]:
        async with gate:
            found = await tour([find(stem)], names=names[stem], lanes=1)
        return {cell.probe: cell for cell in found}

    async def begin() -> dict[str, asyncio.Task[dict[str, Cell]]]:
        # The longest first: none is left to end alone. Among stages, that is the tests' own order.
        stems = sorted(names, key=lambda stem: -len(names[stem]))
        return {stem: asyncio.create_task(measure(stem)) for stem in stems}

    async def wait(stem: str) -> dict[str, Cell]:
        cells = await tasks[stem]  # raises, for this target alone, what its tour has raised
        left = [name for name, cell in cells.items() if not cell.verdict.measured]
        if left and stem not in again:
            again.add(stem)
            await asyncio.wait(tasks.values())  # then nothing is measured beside it
            found = await tour([find(stem)], names=left, lanes=1)
            cells.update((cell.probe, cell) for cell in found)
        return cells

    again = set[str]()
    with asyncio.Runner() as runner:  # its end cancels what nobody waits for any more
        tasks = runner.run(begin())
        yield lambda stem: runner.run(wait(stem))


def cells() -> Iterator[tuple[str, Probe]]:
    """Yield every probe on every stage, and on a wrong turn those up to the stage that it imitates.

    What comes later it lacks as its base does, and the base is measured.
    """
    for stage in catalog.STAGES:
        yield from ((stage.stem, probe) for probe in PROBES)
    for turn in catalog.WRONG_TURNS:
        yield from ((turn.stem, probe) for probe in of_wrong_turn(turn))


@pytest.mark.parametrize(
    ("stem", "probe"), list(cells()), ids=lambda value: getattr(value, "name", value)
)
@pytest.mark.timeout(1800)  # the first of a target waits for it, or for all that are measured
def test_the_verdict_is_as_the_catalogue_says(
    measured: Callable[[str], dict[str, Cell]], stem: str, probe: Probe
) -> None:
    hold(measured(stem)[probe.name])


def test_every_probe_has_a_row_and_every_row_a_probe() -> None:
    assert list(catalog.EXPECTED) == [probe.name for probe in PROBES]


def test_every_row_has_a_cell_for_every_stage() -> None:
    assert {len(row) for row in catalog.EXPECTED.values()} == {len(catalog.STAGES)}


@pytest.mark.parametrize("name", catalog.EXPECTED)
def test_every_probe_is_red_somewhere(name: str) -> None:
    """A probe that nothing fails may be one that cannot fail."""
    assert False in {catalog.expected(name, stem) for stem in STEMS}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_every_probe_is_green_on_the_stage_that_introduces_it(probe: Probe) -> None:
    stem = catalog.STAGES[probe.introduced_by - 1].stem

    assert catalog.expected(probe.name, stem) is True


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_every_probe_says_its_question_its_rule_and_its_source(probe: Probe) -> None:
    text = probe.measure.__doc__ or ""

    assert probe.question.endswith("?")
    assert "Rule: " in text
    assert "Source: " in text


@pytest.mark.parametrize("turn", catalog.WRONG_TURNS, ids=lambda turn: turn.stem)
def test_every_wrong_turn_names_probes_that_there_are(turn: catalog.WrongTurn) -> None:
    assert turn.fails
    assert set(turn.fails) <= set(catalog.EXPECTED)


def test_an_unknown_stem_is_explained() -> None:
    with pytest.raises(LookupError, match="s09_none is not in the catalogue: s01_naive, s02"):
        catalog.expected("text-survives", "s09_none")
