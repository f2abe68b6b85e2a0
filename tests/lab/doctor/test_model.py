"""The doctor on the default model: that the SDK lists it, and not as deprecated."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stages import catalog
from stages.lab.doctor import model
from stages.lab.doctor.findings import Finding
from tests.helpers.places import ROOT, STAGES

MODELS = """
ChatModel: TypeAlias = Literal["new", "old", "older", "odd"]
\"""Deprecated values:

- "old", "older": Announced shutdown date: 2027-01-14. See
  https://example.com for details.
- "odd": Not a supported model ID. Retained for SDK compatibility.
\"""
"""


@pytest.fixture
def sdk_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a list of models as that of an installed SDK, and return its path."""
    monkeypatch.setattr(model, "installed", lambda name: "9.1")

    def lists(source: str) -> Path:
        (tmp_path / "chat_model.py").write_text(source)
        return tmp_path / "chat_model.py"

    return lists


def test_a_default_model_that_is_deprecated_is_a_warning(sdk_lists: Callable[[str], Path]) -> None:
    found = model.judge(sdk_lists(MODELS), "old")

    assert found == Finding(
        "warning",
        "the default model old is deprecated, says openai 9.1: Announced shutdown date: 2027-01-14",
        "Only a real provider minds. Name another model there, with CHAT_MODEL; see "
        "https://developers.openai.com/api/docs/deprecations",
    )


@pytest.mark.parametrize("deprecated", ["old", "older", "odd"])
def test_every_model_of_every_deprecated_group_is_found(
    sdk_lists: Callable[[str], Path], deprecated: str
) -> None:
    assert model.judge(sdk_lists(MODELS), deprecated).grade == "warning"


def test_a_default_model_that_is_not_deprecated_is_ready(sdk_lists: Callable[[str], Path]) -> None:
    assert model.judge(sdk_lists(MODELS), "new") == Finding(
        "ready", "openai 9.1 lists the default model new, and not as deprecated"
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "it has no list of models"),
        ("ChatModel: TypeAlias = Literal[", "'[' was never closed (<unknown>, line 1)"),
        (MODELS.partition('"""')[0], "its list says nothing of deprecated ones"),
        (MODELS.partition("\n- ")[0] + '"""', "its list of deprecated ones is empty"),
        (MODELS.replace("- ", "* - "), "its list of deprecated ones is empty"),
        (MODELS.replace('- "old"', "- old"), "its list of deprecated ones has another form than"),
        (MODELS.replace('"new", ', ""), "openai 9.1 has no new"),
    ],
)
def test_a_list_that_cannot_be_read_is_never_ready(
    sdk_lists: Callable[[str], Path], source: str, why: str
) -> None:
    found = model.judge(sdk_lists(source), "new")

    assert found.grade == "warning"
    assert found.what.startswith("cannot tell whether the default model new is deprecated: ")
    assert why in found.what


@pytest.mark.parametrize("source", [None, Path("nowhere") / "chat_model.py"])
def test_without_a_list_the_doctor_cannot_tell(source: Path | None) -> None:
    assert model.judge(source).what.startswith("cannot tell whether the default model ")


def test_the_sdk_that_was_tested_does_not_list_the_default_model_as_deprecated() -> None:
    """When `make constraints` makes this red, the stages need another model."""
    found = model.judge(model.listed())

    assert found.grade == "ready", found


def test_a_model_that_is_shut_down_in_2027_is_found_in_the_sdk_that_was_tested() -> None:
    assert "2027-01-14" in model.judge(model.listed(), "gpt-4o-mini").what


@pytest.mark.parametrize("stem", [entry.stem for entry in (*catalog.STAGES, *catalog.WRONG_TURNS)])
def test_every_stage_asks_for_the_default_model_of_the_doctor(stem: str) -> None:
    (path,) = [*STAGES.glob(f"{stem}.py"), *STAGES.glob(f"wrong_turns/{stem}.py")]

    (default,) = re.findall(r'"CHAT_MODEL", "(.+)"', path.read_text(encoding="utf-8"))

    assert default == model.DEFAULT_MODEL


def test_the_readme_names_the_default_model() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f"export CHAT_MODEL={model.DEFAULT_MODEL} " in readme
