"""`make test` leaves the slow tests to `make test-all`, and says so; each says why it is slow.

A suite of two tests is run by pytest in a process of its own, with our conftest and settings.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MEASURE
from tests.helpers.places import ROOT

SUITE = """
import pytest

def test_quick(): pass

@pytest.mark.slow("a thousand streams")
def test_storm(): pass

@pytest.mark.slow("ten times")
@pytest.mark.parametrize("number", [1, 2])
def test_again(number): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    file = tmp_path / "test_suite.py"
    file.write_text(SUITE)
    return file


def run(suite: Path, *words: str, chosen: str = "") -> subprocess.CompletedProcess[str]:
    settings = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(suite.parent))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *settings, "-p", "no:cacheprovider", str(suite), *words],
        cwd=suite.parent,
        capture_output=True,
        text=True,
        check=False,
        # Those that are installed here take 2 s to import. Of ours, the settings name this one.
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "pytest_timeout",
            "PYTEST_ADDOPTS": "",  # of whoever runs this
            "STAGES_TESTS": chosen,
        },
    )


def test_what_make_test_leaves_out_is_counted_by_its_reason_above_the_closing_line(
    suite: Path,
) -> None:
    *_, left, closing = run(suite, "-m", "not slow").stdout.splitlines()

    assert left == "3 left to make test-all: ten times (2); a thousand streams (1)"
    assert "1 passed, 3 deselected" in closing


def test_the_slow_tests_alone_leave_the_others_to_make_test(suite: Path) -> None:
    *_, left, closing = run(suite, "-m", "slow").stdout.splitlines()

    assert left == "1 left to make test"
    assert "3 passed, 1 deselected" in closing


def test_all_tests_leave_nothing(suite: Path) -> None:
    told = run(suite).stdout

    assert "left to" not in told
    assert "4 passed" in told


def test_what_a_keyword_leaves_out_is_left_to_nobody(suite: Path) -> None:
    *_, left, closing = run(suite, "-m", "not slow", "-k", "storm").stdout.splitlines()

    assert left == "1 left to make test-all: a thousand streams (1)"
    assert "4 deselected" in closing


@pytest.mark.parametrize(
    "mark", ["slow", "slow()", 'slow(" ")', 'slow(reason="a storm")', "slow(3)"]
)
def test_a_slow_test_that_does_not_say_why_is_refused(suite: Path, mark: str) -> None:
    suite.write_text(SUITE.replace('slow("ten times")', mark))

    ended = run(suite, "-m", "not slow")

    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "::test_again[1] is marked slow and does not say why. Whoever reads" in ended.stderr


def test_a_room_that_measures_runs_apart_from_what_waits(suite: Path) -> None:
    (suite.parent / "stages").mkdir()
    shutil.move(suite, suite.parent / "stages" / suite.name)
    (suite.parent / "test_waits.py").write_text("def test_waits(): pass\n")

    measuring, waiting = (
        run(suite.parent, "-v", chosen=it).stdout for it in ("measuring", "waiting")
    )

    assert "test_quick" in measuring
    assert "test_waits" not in measuring
    assert "1 passed" in waiting
    assert "test_waits" in waiting


def test_every_place_that_measures_is_there() -> None:
    # One that is moved would go to the half in which two tests share the machine.
    assert [place for place in MEASURE if not place.exists()] == []


def test_what_measures_counts_the_slow_ones_of_both(suite: Path) -> None:
    (suite.parent / "stages").mkdir()
    shutil.copy(suite, suite.parent / "stages" / "test_more.py")

    *_, left, _ = run(suite.parent, "-m", "not slow", chosen="measuring").stdout.splitlines()

    assert left == "6 left to make test-all: ten times (4); a thousand streams (2)"
