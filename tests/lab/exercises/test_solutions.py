"""A solution is shown with all that it needs, and nothing else."""

from pathlib import Path

import pytest

from stages.lab.exercises import solutions

MODULE = '''"""Solutions."""

import json
import re
from collections.abc import Iterator, Sequence

LIMIT = 3  # why it is three
OTHER = 4


def _helper(value: str) -> str:
    return json.dumps(value)[:LIMIT]


@staticmethod
def wanted(values: Sequence[str]) -> list[str]:
    """Return them."""
    return [_helper(value) for value in values]


def other() -> Iterator[str]:
    yield re.escape("a")
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ours.py"
    path.write_text(MODULE)
    return path


def test_a_solution_comes_with_its_imports_its_constants_and_its_helpers(path: Path) -> None:
    assert solutions.source(path, "wanted") == (
        "import json\n"
        "from collections.abc import Sequence\n"
        "\n"
        "\n"
        "LIMIT = 3  # why it is three\n"
        "\n"
        "\n"
        "def _helper(value: str) -> str:\n"
        "    return json.dumps(value)[:LIMIT]\n"
        "\n"
        "\n"
        "@staticmethod\n"
        "def wanted(values: Sequence[str]) -> list[str]:\n"
        '    """Return them."""\n'
        "    return [_helper(value) for value in values]"
    )


def test_a_solution_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(LookupError, match=r"ours\.py has no absent\. It has: json, re, "):
        solutions.source(path, "absent")
