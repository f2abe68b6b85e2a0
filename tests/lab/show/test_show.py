"""`show` puts words and pictures before a person, in a notebook and on GitHub alike."""

import asyncio
from pathlib import Path

import pytest

from stages.lab import Script, ask, show
from stages.lab.bench.scrape import Samples
from stages.lab.experiments.buffers import Buffers
from stages.lab.experiments.series import Look, Series
from stages.lab.pictures.picture import Picture
from stages.lab.upstream.script import Cut, Role, Token
from tests.helpers.pictures import NOT_TOLD, TOLD, WHOLE, cell, clashes, labelled, texts

PICTURES = {
    "wire": show.wire(NOT_TOLD),
    "swimlane": show.swimlane(TOLD),
    "swimlanes": show.swimlanes({"s01": NOT_TOLD, "s02": TOLD}),
    "staircase": show.staircase([cell("text-survives", "s01_naive", False)]),
    "arrivals": show.arrivals({"SSE": [0.1, 0.2], "one document": [0.2]}),
    "reservoirs": show.reservoirs({"s03": Buffers(9, 4000, False, 2000, 1000, 100, 60, 700, 140)}),
    "dashboard": show.dashboard(Series((Look(0.0, Samples()), Look(1.0, Samples())), limit=9)),
}


def test_a_diff_is_a_fence_that_github_colours() -> None:
    shown = show.diff(1, "s02_json_safe")

    assert shown.markdown.startswith("```diff\n--- stages/s01_naive.py\n+++ stages/s02_json_safe.")
    assert shown.markdown.endswith("\n```\n")
    assert repr(shown).startswith("--- stages/s01_naive.py\n")


def test_a_timeline_is_that_of_an_answer_or_of_a_verdict() -> None:
    assert "client    token" in show.timeline(WHOLE).plain
    assert show.timeline(cell("text-survives", "s01_naive", True)).plain == "nothing was recorded"


def test_a_swimlane_has_its_title() -> None:
    assert texts(show.swimlane(TOLD, title="s02, told"), "title") == ["s02, told"]


@pytest.mark.parametrize("name", PICTURES)
def test_no_text_of_a_picture_lies_over_another_or_is_cut_off(name: str) -> None:
    assert clashes(PICTURES[name]) == []


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_says_in_words_what_it_shows(name: str) -> None:
    alt = PICTURES[name].alt

    assert alt.endswith(".")
    assert "\n" not in alt


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_small_enough_for_a_notebook(name: str) -> None:
    assert len(PICTURES[name].render("png")) < 100_000


def test_a_picture_is_saved_where_it_is_told(tmp_path: Path) -> None:
    show.save(PICTURES["staircase"], tmp_path / "stairs.svg")

    assert (tmp_path / "stairs.svg").read_bytes().startswith(b"<?xml")


@pytest.fixture(scope="module")
def measured() -> list[Picture]:
    """The wire of s01, and s01 and s02 when the upstream breaks off: from real runs."""
    poem = Script.answer("Hello", " world", "\n", "\n\n- item")
    broken = Script((Role(), Token("Hello"), Token(" wor"), Cut()))
    wire = asyncio.run(ask(1, poem))
    lanes = {"s01": asyncio.run(ask(1, broken)), "s02": asyncio.run(ask(2, broken))}
    return [show.wire(wire), show.swimlanes(lanes)]


def test_a_real_wire_shows_the_line_that_is_dropped(measured: list[Picture]) -> None:
    assert texts(measured[0], "unknown field") == ["dropped: unknown field"]
    assert measured[0].alt == "17 lines on the wire, 2 of them lost; the client read another text."


def test_a_real_failure_is_seen_to_be_told_or_not(measured: list[Picture]) -> None:
    assert texts(measured[1], "told") == ["told: nothing", "told: error"]
    assert len(labelled(measured[1], "failure not told")) == 1
    assert len(labelled(measured[1], "failure told")) == 1


def test_real_pictures_have_no_text_over_another(measured: list[Picture]) -> None:
    assert [clashes(picture) for picture in measured] == [[], []]
