"""A cell that was not measured is a skip with its reason, and in CI a failure."""

import pytest

from stages.lab.bench.verdict import State, Verdict
from stages.lab.matrix.cells import Cell
from tests.helpers.cells import hold


def cell(state: State) -> Cell:
    return Cell("s01_naive", "text-survives", Verdict(state, "what was found"), True, 0.0)


def test_what_is_as_expected_holds() -> None:
    hold(cell("green"))


def test_a_surprise_fails_with_its_finding() -> None:
    with pytest.raises(AssertionError, match="text-survives on s01_naive should be green: ✗ what"):
        hold(cell("red"))


def test_what_was_not_measured_is_a_skip_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)

    with pytest.raises(pytest.skip.Exception, match="on s01_naive was not measured: what was"):
        hold(cell("unmeasured"))


def test_what_was_not_measured_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_SERVICES", "1")

    with pytest.raises(pytest.fail.Exception, match="on s01_naive was not measured: what was"):
        hold(cell("unmeasured"))
