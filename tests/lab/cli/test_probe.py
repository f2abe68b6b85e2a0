"""`probe` measures what is named on one server, and shows the evidence."""

import json
import re
from pathlib import Path

import pytest

from stages.lab import probes
from tests.helpers.commands import Command, started
from tests.helpers.lab import FAST, PROBES, Lab
from tests.helpers.places import ROOT


def test_a_red_probe_on_a_real_server_shows_its_evidence() -> None:
    with started("probe", "1", FAST) as running:
        code = running.end()

    assert code == 0
    for pattern in (
        rf"✗ {FAST}  as expected: s02_json_safe makes it green\n",
        r"\n    Does a chunk with empty `choices` pass without harm, .*\n    .*: the client saw ",
        r"\n    the cases\n      ✗ .*: the client saw ",
        r"\n         0\.000 s  client    sends the request\n",
        r"\n    the end of the server's log\n(.*\n)*      IndexError: list index out of range\n",
    ):
        assert re.search(pattern, running.printed), f"{pattern} is not in\n{running.printed}"


def test_a_learners_file_is_probed_where_it_lies(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text((ROOT / "stages" / "s02_json_safe.py").read_text())

    with started("probe", str(own), FAST) as running:
        code = running.end()

    assert code == 0
    assert "\n1 of 1 verdict green, in " in running.printed


def test_a_learners_file_with_a_red_probe_ends_with_1(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").touch()
    lab.wrong = tuple(PROBES[1:])  # nothing is expected of it, so wrong is green

    ended = command("probe", str(tmp_path / "mine.py"))

    assert ended.code == 1
    assert f"{len(PROBES) - 1} of {len(PROBES)} verdicts green" in ended.out


def test_a_file_that_is_all_red_may_not_be_such_a_server_at_all(
    command: Command, lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").touch()

    out = command("probe", str(tmp_path / "mine.py")).out

    assert out.endswith(
        "Every probe is red. Does the file answer POST /chat with an event stream, and is its app "
        "called `app`?\n"
    )


def test_a_stage_is_probed_with_all_probes(command: Command, lab: Lab) -> None:
    command("probe", "1")

    assert list(lab.names) == PROBES


def test_a_stage_is_probed_with_those_that_are_named(command: Command, lab: Lab) -> None:
    command("probe", "1", FAST, "text-survives", FAST)

    assert lab.names == (FAST, "text-survives")


@pytest.fixture
def named_s02(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file whose name begins like that of stage 2, which has two of all the probes."""
    every = probes.all_probes()

    def some(up_to: int | None = None) -> list[probes.Probe]:
        return every[:2] if up_to == 2 else every

    monkeypatch.setattr("stages.lab.cli.probe.all_probes", some)
    (tmp_path / "s02_mine.py").touch()
    return str(tmp_path / "s02_mine.py")


def test_a_file_named_after_a_stage_is_probed_up_to_that_stage(
    command: Command, lab: Lab, named_s02: str
) -> None:
    out = command("probe", named_s02).out

    assert lab.names == tuple(PROBES[:2])
    assert "2 probes: those up to stage 2, as its name says; --all runs all\n" in out


def test_a_wrong_turn_is_asked_what_its_stage_is_and_what_it_fails(
    command: Command, lab: Lab
) -> None:
    out = command("probe", "s03_detached_reader").out

    assert lab.names[-2:] == ("outcome-is-recorded", "backlog-is-bounded")  # of s04: it fails that
    assert "17 probes: those up to its stage, and those that it fails; --all runs all\n" in out


def test_all_probes_can_be_asked_of_a_wrong_turn(command: Command, lab: Lab) -> None:
    command("probe", "s03_detached_reader", "--all")

    assert list(lab.names) == [probe.name for probe in probes.all_probes()]


def test_a_file_can_be_probed_with_all_probes(command: Command, lab: Lab, named_s02: str) -> None:
    command("probe", named_s02, "--all")

    assert list(lab.names) == PROBES


def test_a_dialect_can_be_given(command: Command, lab: Lab) -> None:
    command("probe", "2", FAST, "--dialect", "plain")

    assert lab.asked[0].dialect.name == "plain"


def test_a_probe_with_a_surprise_ends_with_1_and_explains_it(command: Command, lab: Lab) -> None:
    lab.wrong = (FAST,)

    ended = command("probe", "2", FAST)

    assert ended.code == 1
    assert f"✗! {FAST}  not expected: it should be green\n" in ended.out
    assert "\n1 verdict not as the catalogue expects\n" in ended.out


def test_a_red_probe_leads_to_the_fix(command: Command, lab: Lab) -> None:
    out = command("probe", "1", FAST).out

    assert out.endswith("\nNext\n  python -m stages diff 1 2  the fix\n")


def test_a_red_probe_of_a_wrong_turn_leads_back_to_its_stage(command: Command, lab: Lab) -> None:
    out = command("probe", "s02_error_text", "secrets-stay-in").out

    assert out.endswith("\nNext\n  python -m stages diff s02_error_text 2  the fix\n")


def test_the_result_of_a_probe_can_be_kept_as_json(command: Command, lab: Lab) -> None:
    ended = command("probe", "2", FAST, "--json", "-")

    assert [cell["as_expected"] for cell in json.loads(ended.out)] == [True]
    assert f"✓ {FAST}" in ended.err


def test_an_interrupted_probe_says_how_far_it_came(command: Command, lab: Lab) -> None:
    lab.failure, lab.fails_after = KeyboardInterrupt(), 1

    ended = command("probe", "2", FAST, "text-survives")

    assert ended.code == 130
    assert ended.out.endswith("Interrupted after 1 of 2 probes. The server has been ended.\n")


def test_an_unknown_probe_is_wrong_usage_and_says_what_there_is(command: Command) -> None:
    ended = command("probe", "1", "nonsense")

    assert ended.code == 2
    assert ended.err.startswith("Error: There is no probe 'nonsense'. There are: text-survives, ")


def test_an_unknown_dialect_is_wrong_usage_and_says_what_there_is(command: Command) -> None:
    ended = command("probe", "1", "--dialect", "martian")

    assert (ended.code, ended.err) == (
        2,
        "Error: There is no dialect 'martian'. There are: stages, plain, escaped.\n",
    )
