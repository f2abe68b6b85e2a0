"""`staircase` shows where each probe turns green, and what was not expected."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from stages import catalog
from stages.lab.bench.verdict import Verdict
from stages.lab.matrix.cells import Cell
from stages.lab.pictures import staircase
from stages.lab.probes import Probe
from tests.helpers.pictures import cell, clashes, labelled, right_edge_px, texts

STEMS = ("s01_naive", "s02_json_safe")
CELLS = [
    cell("text-survives", STEMS[0], False),
    cell("silence-is-bridged", STEMS[0], False),
    cell("text-survives", STEMS[1], True),
    cell("silence-is-bridged", STEMS[1], True),
]


def test_every_cell_is_green_with_a_check_or_red_with_a_cross() -> None:
    picture = staircase.draw(CELLS)

    assert len(labelled(picture, "green")) == len(labelled(picture, "red")) == 2
    assert len(labelled(picture, "check")) == 2 + 1  # and one in the legend
    assert len(labelled(picture, "cross")) == 2 * (2 + 1)  # of two strokes each


def test_rows_are_in_the_order_of_the_catalogue() -> None:
    found = texts(staircase.draw([*reversed(CELLS)]))

    assert found.index("text-survives") < found.index("silence-is-bridged")


def test_columns_have_the_names_of_the_stages() -> None:
    found = texts(staircase.draw(CELLS))

    assert found[:4] == ["s01", "naive", "s02", "json safe"]


def test_the_edge_of_the_stairs_stands_before_the_stage_that_introduces_the_probes() -> None:
    picture = staircase.draw(CELLS)

    (stair,) = labelled(picture, "stair")
    reds, greens = labelled(picture, "red"), labelled(picture, "green")
    assert {box.get_x() < stair.get_xdata()[0] for box in reds} == {True}
    assert {box.get_x() > stair.get_xdata()[0] for box in greens} == {True}


def test_as_expected_nothing_is_framed() -> None:
    assert texts(staircase.draw(CELLS), "legend") == ["holds", "does not hold"]


@pytest.mark.parametrize("green", [True, False])
def test_a_verdict_that_was_not_expected_has_a_frame(green: bool) -> None:
    odd = cell("text-survives", STEMS[1], green, expected=not green)

    picture = staircase.draw([CELLS[0], odd])

    assert texts(picture, "legend") == ["holds", "does not hold", "not as expected"]
    assert len(labelled(picture, "frame #1F2328")) == 1 + 1  # and one in the legend


def test_a_probe_that_was_not_run_has_no_cell() -> None:
    picture = staircase.draw(CELLS[:3])

    assert len(labelled(picture, "green")) + len(labelled(picture, "red")) == 3


def test_a_file_of_the_learner_has_a_column_and_no_stairs() -> None:
    picture = staircase.draw([cell("text-survives", "work/s02.py", True)])

    assert texts(picture, "head") == ["s02"]
    assert labelled(picture, "stair") == []
    assert clashes(picture) == []


def test_a_long_claim_of_a_stage_is_not_cut_off(six_stages: Sequence[Cell]) -> None:
    one = [cell for cell in six_stages if cell.target == "s02_json_safe"]

    assert clashes(staircase.draw(one)) == []


def test_the_picture_says_in_words_how_many_hold() -> None:
    assert staircase.draw(CELLS).alt == "Probes that hold: s01_naive 0 of 2, s02_json_safe 2 of 2."


WORDS = ["naive", "json_safe", "disconnect_aware", "backpressured", "shielded_usage", "telemetry"]


@pytest.fixture
def six_stages(monkeypatch: pytest.MonkeyPatch) -> Sequence[Cell]:
    """A matrix as large as it will get, with the longest names of stages and probes."""
    stages = [
        catalog.Stage(i, f"s{i:02}_{word}", "Every stream is accounted for once, " * 4, "", None)
        for i, word in enumerate(WORDS, 1)
    ]
    probes = [
        Probe(f"leave-before-headers-behind-middleware-{i}", 2 + i // 7, None)  # type: ignore[arg-type]  # is not run
        for i in range(35)
    ]
    monkeypatch.setattr(catalog, "STAGES", tuple(stages))
    monkeypatch.setattr(staircase, "all_probes", lambda: probes)
    return [
        cell(probe.name, stage.stem, stage.number >= probe.introduced_by)
        for stage in stages
        for probe in probes
    ]


def test_six_stages_and_35_probes_fit(six_stages: Sequence[Cell]) -> None:
    picture = staircase.draw(six_stages)

    assert clashes(picture) == []
    assert len(labelled(picture, "stair")) == 5
    assert picture.figure.get_size_inches()[0] < 10


def test_the_longest_name_ends_before_the_first_column(six_stages: Sequence[Cell]) -> None:
    picture = staircase.draw(six_stages)

    first_x = min(box.get_x() for box in labelled(picture, "green") + labelled(picture, "red"))
    assert right_edge_px(picture, "probe") < first_x


def test_each_flight_of_the_stairs_begins_where_the_one_above_ends(
    six_stages: Sequence[Cell],
) -> None:
    stairs = labelled(staircase.draw(six_stages), "stair")

    ends = [(stair.get_xdata()[-1], stair.get_ydata()[-1]) for stair in stairs]
    starts = [(stair.get_xdata()[0], stair.get_ydata()[0]) for stair in stairs]
    assert starts[1:] == ends[:-1]


def test_what_was_not_measured_is_grey_has_a_question_mark_and_is_told_in_the_alt_text() -> None:
    unsure = replace(CELLS[3], verdict=Verdict("unmeasured", "this machine was busy"))

    picture = staircase.draw([*CELLS[:3], unsure])

    assert len(labelled(picture, "unmeasured")) == 1
    assert labelled(picture, "frame white") == []  # it is no surprise
    assert texts(picture).count("?") == 2  # one is in the legend
    assert repr(picture).endswith("s02_json_safe 1 of 2. Not measured: 1.")
