"""Progress is kept in the learner's folder, and nothing there is lost by it."""

from pathlib import Path

import pytest

from stages.lab.exercises import progress
from tests.helpers.places import ROOT


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


def test_at_first_nothing_is_right() -> None:
    assert progress.right() == []


def test_what_is_right_is_kept_in_its_order_and_once() -> None:
    for key in ("b", "a", "b"):
        progress.keep(key)

    assert progress.right() == ["b", "a"]


def test_a_reset_forgets_what_was_right_and_keeps_every_file(work: Path) -> None:
    progress.keep("a")
    (work / "s02.py").write_text("mine")

    assert progress.reset() == 1
    assert progress.right() == []
    assert (work / "s02.py").read_text() == "mine"


@pytest.mark.parametrize("text", ["{", "[]", '{"right": 1}', '{"right": [1]}', "\xff"])
def test_a_damaged_file_is_explained_and_not_overwritten(work: Path, text: str) -> None:
    work.mkdir()
    progress.path().write_text(text, encoding="latin-1")

    with pytest.raises(progress.ProgressError, match=r"cannot be read: .* progress --reset"):
        progress.keep("a")
    assert progress.path().read_text(encoding="latin-1") == text


def test_a_damaged_file_can_be_reset(work: Path) -> None:
    work.mkdir()
    progress.path().write_text("{")

    assert progress.reset() == 0
    assert progress.right() == []


def test_a_file_that_cannot_be_written_is_explained(work: Path) -> None:
    (work / "progress.new").mkdir(parents=True)

    assert "The progress could not be written to" in progress.note("a")


def test_a_folder_that_is_a_file_is_explained(work: Path) -> None:
    work.write_text("a file where the folder should be")

    assert "cannot be read: " in progress.note("a")


def test_without_a_folder_of_ones_own_it_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGES_WORK")

    assert progress.folder() == ROOT / "work"
