"""Lanes: several targets at the same time give what one after the other would, and end together."""

import asyncio
import gc
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stages.lab.bench.verdict import Moment, Verdict
from stages.lab.clients.dialects import DIALECTS
from stages.lab.matrix import lanes
from stages.lab.matrix.cells import Cell, ProbeBroken
from stages.lab.probes import all_probes
from stages.lab.processes.process import NotReady, ProcessError
from stages.lab.processes.targets import Target, find

CELL = Cell(
    "s01_naive",
    "text-survives",
    Verdict("red", "lost", ("✗ a: lost", "✓ b"), (Moment(0.5, "client", "leaves"),)),
    False,
    1.5,
    "a log\nof two lines",
)


def test_a_cell_comes_out_of_its_line_as_it_went_in() -> None:
    assert lanes.from_line(lanes.to_line(CELL)) == CELL


@pytest.mark.parametrize(
    ("name", "error"),
    [("ProcessError", ProcessError), ("NotReady", NotReady), ("ProbeBroken", ProbeBroken)],
)
def test_what_a_lane_raises_is_raised_here(name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="why it failed") as caught:
        lanes.from_line(f'{{"failed": "{name}", "message": "why it failed"}}')

    assert type(caught.value) is error


def test_every_kind_of_process_error_comes_out_of_a_lane() -> None:
    assert {ProcessError, *ProcessError.__subclasses__()} <= set(lanes.FAILURES.values())


def test_a_server_that_does_not_start_is_explained() -> None:
    with pytest.raises(ProcessError, match="ended with exit code 1 before it was ready"):
        asyncio.run(lanes.tour([find("tests/servers/import_error.py")], lambda cell: None))


def test_cells_are_told_as_they_come_and_returned_in_the_order_of_the_targets() -> None:
    targets, told = [find(1), find(2)], list[str]()

    cells = asyncio.run(
        lanes.tour(targets, lambda cell: told.append(cell.target), names=["usage-chunk-survives"])
    )

    assert [(cell.target, cell.verdict.green) for cell in cells] == [
        ("s01_naive", False),
        ("s02_json_safe", True),
    ]
    assert sorted(told) == ["s01_naive", "s02_json_safe"]


@pytest.mark.parametrize(("named", "in_lanes"), [(lanes.FEW, False), (lanes.FEW + 1, True)])
def test_a_few_probes_share_one_server_and_more_have_lanes(
    monkeypatch: pytest.MonkeyPatch, named: int, in_lanes: bool
) -> None:
    started = list[Sequence[str]]()
    process = lanes._process

    @asynccontextmanager
    async def noted(*words: str) -> AsyncIterator[lanes.Lane]:
        started.append(words)
        async with process(*words) as lane:
            yield lane

    monkeypatch.setattr(lanes, "_process", noted)

    names = [probe.name for probe in all_probes(up_to=2)][-named:]

    cells = asyncio.run(lanes.probe(2, *names, names[0]))  # whoever says it twice has it once

    assert (len(started) > 1) == in_lanes
    assert [cell.probe for cell in cells] == names


def test_without_a_name_all_probes_up_to_a_stage_are_run() -> None:
    cells = asyncio.run(lanes.probe(1, up_to=2))

    assert [cell.probe for cell in cells] == [probe.name for probe in all_probes(up_to=2)]


def test_a_single_target_has_a_server_in_each_lane_and_its_cells_in_the_order_of_the_probes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, shares = ["usage-chunk-survives", "truncation-is-told", "secrets-stay-in"], []
    started = lanes._process

    def noted(*words: str):  # type: ignore[no-untyped-def]  # as the one that it stands for
        shares.append(words[2:])
        return started(*words)

    monkeypatch.setattr(lanes, "_process", noted)

    cells = asyncio.run(lanes.tour([find(2)], names=names, lanes=2))

    assert sorted(shares) == [("truncation-is-told",), ("usage-chunk-survives", "secrets-stay-in")]
    assert [cell.probe for cell in cells] == names


def test_a_lane_reads_in_the_dialect_of_its_target() -> None:
    target = replace(find("s02_escape_newlines"), dialect=DIALECTS["stages"])

    (cell,) = asyncio.run(lanes.tour([target], names=["text-survives"]))

    assert "13 of 13" in cell.verdict.finding  # escaped tokens are no JSON


def test_a_tour_that_is_broken_off_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def stop(cell: Cell) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(lanes.tour([find(2)], stop, names=["usage-chunk-survives", "text-survives"]))
    gc.collect()  # now: asyncio tells of tasks in __del__, and in `ast.parse` 3.11 fails on that

    assert list(tmp_path.iterdir()) == []


def test_a_lane_that_is_killed_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    started = lanes._process

    @asynccontextmanager
    async def killed(*words: str) -> AsyncIterator[lanes.Lane]:
        async with started(*words) as process:
            os.kill(process.pid, signal.SIGKILL)
            yield process

    monkeypatch.setattr(lanes, "_process", killed)

    with pytest.raises(
        ProcessError, match="A lane of s02_json_safe ended by SIGKILL before its la"
    ):
        asyncio.run(lanes.tour([find(2)], names=["usage-chunk-survives"]))


UNSURE = Verdict("unmeasured", "not measured, this machine was busy")
GREEN = Verdict("green", "it held")


@pytest.mark.parametrize(
    ("again", "found"), [([GREEN], GREEN), ([UNSURE, GREEN], GREEN), ([UNSURE, UNSURE], UNSURE)]
)
def test_what_was_not_measured_is_measured_again_at_the_end_and_alone(
    again: list[Verdict], found: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, crowds, left, told = 0, list[int](), [UNSURE, *again], list[Cell]()

    async def lane(target: Target, share: Sequence[str]) -> AsyncGenerator[Cell]:
        nonlocal running
        running += 1
        for name in share:
            await asyncio.sleep(0.01)
            unsure = (target.stem, name) == ("s01_naive", "text-survives")
            if unsure:
                crowds.append(running)
            yield Cell(target.name, name, left.pop(0) if unsure else GREEN, True, 0.0)
        await asyncio.sleep(0.05)
        running -= 1

    monkeypatch.setattr(lanes, "_lane", lane)
    targets = [find(1), find(2)]
    cells = asyncio.run(
        lanes.tour(targets, told.append, names=["text-survives", "secrets-stay-in"], lanes=2)
    )

    assert cells[0].verdict == found
    assert crowds == [2] + [1] * len(again)
    assert [cell.target for cell in told].count("s01_naive") == 2  # it is told once, at last
    assert left == []
