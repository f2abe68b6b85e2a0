"""What a cell of the matrix has to be: measured, and as the catalogue says."""

import os

import pytest

from stages.lab.matrix.cells import Cell


def hold(cell: Cell) -> None:
    """Fail for a surprise, with its evidence. What was not measured fails in CI only.

    Elsewhere it is a skip with its reason: the machine was too busy to tell, which is no defect.
    """
    assert cell.surprise is None, "\n".join(
        (f"{cell.surprise}", *cell.verdict.details, *map(str, cell.verdict.timeline), cell.log)
    )
    if not cell.verdict.measured:
        told = f"{cell.probe} on {cell.target} was not measured: {cell.verdict.finding}"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(told)
        pytest.skip(told)
