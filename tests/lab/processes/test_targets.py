"""A target is found by the names that people use, and a name that is none is explained."""

import re
from pathlib import Path

import pytest

from stages import catalog
from stages.lab.clients.dialects import DIALECTS
from stages.lab.processes.targets import Target, TargetError, find, split

ROOT = Path(catalog.__file__).parents[1]


@pytest.mark.parametrize("stage", catalog.STAGES, ids=lambda stage: stage.stem)
def test_a_stage_is_found_by_number_stem_and_file(stage: catalog.Stage) -> None:
    names = (stage.number, str(stage.number), stage.stem, ROOT / "stages" / f"{stage.stem}.py")

    found = {find(str(name)) for name in names}

    app = f"stages.{stage.stem}:app"
    assert found == {Target(stage.stem, app, DIALECTS[stage.dialect], stage.stem)}


def test_a_number_may_be_an_int() -> None:
    assert find(1) == find("1")


@pytest.mark.parametrize("turn", catalog.WRONG_TURNS, ids=lambda turn: turn.stem)
def test_a_wrong_turn_is_found_by_stem_and_file(turn: catalog.WrongTurn) -> None:
    names = (turn.stem, ROOT / "stages" / "wrong_turns" / f"{turn.stem}.py")

    found = {find(str(name)) for name in names}

    app = f"stages.wrong_turns.{turn.stem}:app"
    assert found == {Target(turn.stem, app, DIALECTS[turn.dialect], turn.stem)}


@pytest.mark.parametrize(
    ("name", "app"), [("work/s02.py", "app"), ("work/s02.py:server", "server")]
)
def test_a_file_is_found_as_seen_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, app: str
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "s02.py").touch()
    monkeypatch.chdir(tmp_path)

    found = find(name)

    assert found == Target("work/s02.py", f"{tmp_path}/work/s02.py:{app}", DIALECTS["plain"])


def test_a_file_is_explained_when_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(TargetError) as caught:
        find("work/s02.py")

    start = f"There is no file work/s02.py, as seen from {tmp_path}. Stages: 1 (s01_naive), "
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize("name", ["0", "99", "", "s01", "s01_naive:app", "README.md", "."])
def test_a_name_that_is_none_is_explained_with_those_that_are(name: str) -> None:
    with pytest.raises(TargetError) as caught:
        find(name)

    assert re.fullmatch(
        rf"'{re.escape(name)}' is no stage and no file\. "
        r"Stages: 1 \(s01_naive\), 2 \(s02_json_safe\).*\. "
        r"Wrong turns: s02_escape_newlines, .*\. "
        r"Or a path that ends in \.py\.",
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("app", "parts"),
    [
        ("stages.s01_naive:app", ("stages.s01_naive", "app")),
        ("stages.s01_naive", ("stages.s01_naive", "app")),
        ("work/s03.py:server", ("work/s03.py", "server")),
        ("work/s03.py:", ("work/s03.py", "app")),
        ("work/s03.py", ("work/s03.py", "app")),
        ("/a: b/s03.py:server", ("/a: b/s03.py", "server")),
        ("/a: b/s03.py", ("/a: b/s03.py", "app")),
    ],
)
def test_an_app_is_a_place_and_a_name(app: str, parts: tuple[str, str]) -> None:
    assert split(app) == parts
