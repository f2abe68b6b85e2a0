"""The list says what there is and fits its reader; a diff says what one stage has changed."""

import re
import subprocess
import sys

import pytest

from stages import catalog
from stages.lab import diffs
from tests.helpers.commands import COLOUR, Command, on_terminal
from tests.helpers.places import ROOT


@pytest.fixture
def listed(command: Command, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list of stages, so wide that nothing is wrapped."""
    monkeypatch.setenv("COLUMNS", "300")
    return [" ".join(line.split()) for line in command().out.splitlines()]


def test_without_a_command_every_stage_is_listed_with_its_claim_and_its_fix(
    listed: list[str],
) -> None:
    for stage in catalog.STAGES:
        at = next(i for i, line in enumerate(listed) if line.startswith(f"{stage.number} "))
        assert listed[at].startswith(f"{stage.number} {stage.stem} {stage.title} ")
        assert listed[at + 1] == stage.fix


def test_the_list_has_the_size_of_each_diff(listed: list[str]) -> None:
    size = diffs.size("s01_naive", "s02_json_safe")

    assert any(line.startswith("2 s02_json_safe") and line.endswith(f" {size}") for line in listed)


def test_the_list_has_every_wrong_turn_with_the_probes_that_it_fails(listed: list[str]) -> None:
    for turn in catalog.WRONG_TURNS:
        at = next(i for i, line in enumerate(listed) if line.startswith(turn.stem))
        assert listed[at].startswith(f"{turn.stem} {turn.mistake} ")
        assert listed[at + 1] == f"✗ {', '.join(turn.fails)}"


def test_the_list_says_what_to_type_next(command: Command) -> None:
    out = command().out

    assert "  python -m stages tour        every probe on every stage, and the staircase\n" in out


def test_a_pipe_gets_plain_text(command: Command) -> None:
    assert "\x1b" not in command().out


def test_a_terminal_gets_colours() -> None:
    assert COLOUR.search(on_terminal())


def test_no_color_is_honoured() -> None:
    assert not COLOUR.search(on_terminal(NO_COLOR="1"))


def test_the_list_fits_a_narrow_terminal() -> None:
    printed = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(columns=60))

    table = printed.partition("Next")[0].splitlines()
    assert max(len(line.rstrip()) for line in table) <= 60


def test_the_list_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "{'asyncio', 'fastapi', 'httpx', 'matplotlib', 'openai', 'uvicorn'}"
    code = f"import sys, stages.__main__, stages.lab.cli.listing; print({heavy} & {{*sys.modules}})"

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    )

    assert ran.stdout == "set()\n"


def test_a_diff_in_a_pipe_is_plain_behind_one_line_with_its_size(command: Command) -> None:
    ended = command("diff", "2", "s02_done_in_finally")

    size = diffs.size("s02_json_safe", "s02_done_in_finally")
    assert ended.code == 0
    assert ended.out == (
        f"s02_json_safe → s02_done_in_finally: {size.added} lines added, {size.removed} removed\n"
        + diffs.unified("s02_json_safe", "s02_done_in_finally")
    )


def test_a_diff_on_a_terminal_is_coloured() -> None:
    printed = on_terminal("diff", "1", "2")

    assert "\x1b[32m+import json\x1b[0m" in printed
    assert "\x1b[31m-from openai import AsyncOpenAI\x1b[0m" in printed


def test_a_diff_of_one_stage_is_its_fix(command: Command) -> None:
    assert command("diff", "2").out == command("diff", "1", "2").out


def test_a_diff_of_one_wrong_turn_is_its_mistake(command: Command) -> None:
    assert command("diff", "s02_error_text").out == command("diff", "2", "s02_error_text").out


def test_the_first_stage_has_no_fix(command: Command) -> None:
    ended = command("diff", "1")

    assert (ended.code, ended.err) == (
        2,
        "Error: 1 has no stage before it. Name two to compare, such as: "
        "python -m stages diff 1 2\n",
    )
