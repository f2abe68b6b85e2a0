"""Every exercise: its stub is not attempted, ours is right, and its name gives it.

What is told of wrong answers is in the file of each stage.
"""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.lab.checks import all_exercises
from stages.lab.exercises.exercise import Exercise, Short
from tests.helpers.places import ROOT

SHORT = [one for one in all_exercises() if isinstance(one, Short)]
each_short = pytest.mark.parametrize("exercise", SHORT, ids=lambda one: one.key)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))


def solution_of(exercise: Short) -> Any:
    return getattr(importlib.import_module(f"solutions.{exercise.stem}"), exercise.stub)


def stub_of(exercise: Short) -> Any:
    """Return what a learner begins with: our solution, with `...` in place of what it does."""
    ours = solution_of(exercise)
    tree = ast.parse(inspect.getsource(ours))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Expr(ast.Constant(...))]
    names = dict(vars(sys.modules[ours.__module__]))
    exec(compile(ast.fix_missing_locations(tree), "a stub", "exec"), names)
    return names[exercise.stub]


@each_short
def test_a_stub_is_not_attempted(exercise: Short) -> None:
    outcome = exercise.check(stub_of(exercise))

    assert outcome.state == "not attempted"
    assert f"Write {exercise.stub} in place of its `...`" in outcome.finding


@each_short
def test_ours_is_right(exercise: Short) -> None:
    outcome = exercise.check(solution_of(exercise))

    assert outcome.state == "right", outcome


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda one: one.key)
def test_its_package_gives_the_exercise_where_a_module_has_its_name(exercise: Exercise) -> None:
    package = f"stages.lab.checks.{exercise.stem}"
    module = importlib.import_module(f"{package}.{exercise.name}")

    assert getattr(importlib.import_module(package), exercise.name) is exercise
    assert getattr(module, exercise.name) is exercise


def test_the_sdk_is_loaded_by_the_check_that_needs_it_and_not_before() -> None:
    code = (
        "import sys; from stages.lab.checks import all_exercises; all_exercises()\n"
        "print('openai' in sys.modules)\n"
        "import stages.lab.checks.s02_json_safe.failures\n"
        "print('openai' in sys.modules)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    )

    assert ended.stdout.split() == ["False", "True"]
