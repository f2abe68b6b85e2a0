"""Each notebook has its exercises, as stubs; with the solutions put in, every check is right.

The notebooks as shipped are run by nbval, which holds their checks to "not attempted".
"""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from stages import catalog
from stages.lab.checks import all_exercises, of_stage
from stages.lab.exercises import solutions
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Exercise, Short
from tests.helpers.commands import descendants, gone
from tests.helpers.places import ROOT
from tests.helpers.until import until

CELL_S = 180  # a build check runs every probe, two at a time: 30 s, and what a busy machine adds
STEMS = [stage.stem for stage in catalog.STAGES]
SHORT = [one for stem in STEMS for one in of_stage(stem) if isinstance(one, Short)]


def read(stem: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)  # type: ignore[no-untyped-call]  # it has none


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def defining(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Return the one cell that defines a function or a class."""
    (found,) = [
        cell
        for cell in code_cells(notebook)
        for node in ast.parse(cell.source).body
        if getattr(node, "name", None) == name
    ]
    return found


def checking(notebook: nbformat.NotebookNode, exercise: Exercise) -> nbformat.NotebookNode:
    """Return the one cell that checks an exercise."""
    (found,) = [cell for cell in code_cells(notebook) if f"{exercise.name}.check(" in cell.source]
    return found


def told(cell: nbformat.NotebookNode) -> str:
    return "".join(output.data["text/plain"] for output in cell.outputs if "data" in output)


@pytest.mark.parametrize("stem", STEMS)
def test_every_stage_has_two_short_exercises_and_from_the_second_on_a_build(stem: str) -> None:
    exercises = of_stage(stem)

    assert sum(isinstance(one, Short) for one in exercises) >= 2
    assert sum(isinstance(one, Build) for one in exercises) == (stem != STEMS[0])


@pytest.mark.parametrize("stem", STEMS)
def test_a_notebook_has_the_exercises_in_the_order_of_the_list(stem: str) -> None:
    notebook = read(stem)
    cells = code_cells(notebook)

    places = [cells.index(checking(notebook, one)) for one in of_stage(stem)]

    assert places == sorted(places)


@pytest.mark.parametrize("stem", STEMS)
def test_a_notebook_as_shipped_says_that_nothing_is_attempted(stem: str) -> None:
    notebook = read(stem)

    states = {one.name: told(checking(notebook, one)) for one in of_stage(stem)}

    assert all(state.startswith(f"· {name}: not attempted") for name, state in states.items())


@pytest.mark.parametrize("stem", STEMS)
def test_a_check_cell_offers_hints_and_the_solution(stem: str) -> None:
    notebook = read(stem)

    for one in of_stage(stem):
        lines = checking(notebook, one).source.split("\n")
        assert lines[:2] == [f"# {one.name}.hint()", f"# {one.name}.solution()"]


@pytest.mark.parametrize("stem", STEMS)
def test_a_notebook_says_the_minutes_and_the_difficulty_of_each_exercise(stem: str) -> None:
    words = "\n".join(cell.source for cell in read(stem).cells if cell.cell_type == "markdown")

    for one in of_stage(stem):
        assert f"**{one.minutes} minutes, {one.difficulty}.**" in words


@pytest.mark.parametrize("exercise", SHORT, ids=lambda one: one.key)
def test_a_stub_is_what_the_solution_is_called_and_takes_what_it_takes(exercise: Short) -> None:
    ours = ast.parse(solutions.source(ROOT / "solutions" / f"{exercise.stem}.py", exercise.stub))

    assert signature(ours, exercise.stub) == signature(
        ast.parse(defining(read(exercise.stem), exercise.stub).source), exercise.stub
    )


def signature(tree: ast.Module, name: str) -> tuple[str, ...]:
    """Return the kind of a definition and the names that it takes, or the methods that it has."""
    (node,) = [each for each in tree.body if getattr(each, "name", None) == name]
    match node:
        case ast.ClassDef():
            methods = [each for each in node.body if not isinstance(each, ast.Expr)]
            return ("class", *(getattr(each, "name", "") for each in methods))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return (type(node).__name__, *(each.arg for each in node.args.args))
    raise AssertionError(node)


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda one: one.key)
def test_an_exercise_has_three_hints_that_say_something(exercise: Exercise) -> None:
    assert len(set(exercise.hints)) == 3
    assert all(len(hint) > 40 for hint in exercise.hints)


@pytest.mark.parametrize("exercise", SHORT, ids=lambda one: one.key)
def test_a_solution_shows_the_answer_and_what_else_would_be_right(exercise: Short) -> None:
    shown = repr(exercise.solution())

    assert re.search(rf"^(class|(async )?def) {exercise.stub}\b", shown, re.MULTILINE)
    assert len(exercise.or_else) > 40
    assert shown.endswith(exercise.or_else)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.timeout(600)
@pytest.mark.slow("a notebook again, with its solutions put in")
def test_with_the_solutions_put_in_every_check_is_right(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))
    notebook = read(stem)
    for one in of_stage(stem):
        if isinstance(one, Short):
            path = ROOT / "solutions" / f"{stem}.py"
            defining(notebook, one.stub).source = solutions.source(path, one.stub)
        if isinstance(one, Build):
            shutil.copy(ROOT / "stages" / f"{stem}.py", one.path)

    run(notebook)

    said = {one.name: told(checking(notebook, one)) for one in of_stage(stem)}
    wrong = [text for name, text in said.items() if not text.startswith(f"✓ {name}: right. ")]
    assert wrong == [], "\n".join(wrong)


def run(notebook: Any) -> None:
    nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_S,
        resources={"metadata": {"path": ROOT / "notebooks"}},
    ).execute()


SET_UP = """
import os
import nest_asyncio
from stages.lab.checks.s02_json_safe import build, encoder
nest_asyncio.apply()

def encode(event, document):
    while True:
        pass

print(os.getpid())
"""


@pytest.mark.parametrize(
    ("check", "helpers"),
    [("build.check()", 1), ("build.check()", 5), ("encoder.check(encode)", 1)],
    ids=["at its first server", "in mid-probe", "in an endless loop"],
)
@pytest.mark.slow("an interrupt in a kernel")
def test_an_interrupted_check_leaves_nothing_running_and_the_next_one_works(
    check: str, helpers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGES_WORK", str(tmp_path))
    shutil.copy(ROOT / "stages" / "s02_json_safe.py", tmp_path / "s02.py")
    manager, client = start_new_kernel(kernel_name="python3", cwd=ROOT / "notebooks")
    try:
        kernel = int(execute(client, SET_UP))
        client.execute(check, stop_on_error=False)  # or what comes soon after it is dropped
        running = until(
            lambda: descendants(kernel),
            lambda found: len(found) >= helpers,
            f"{helpers} helpers of the kernel",
        )

        manager.interrupt_kernel()
        ended = client.get_shell_msg(timeout=CELL_S)["content"]
        after = execute(client, "print(build.check('usage-chunk-survives'))")

        assert ended["ename"] == "KeyboardInterrupt"
        assert gone(running)
        assert after.startswith("✓ build: right so far. What you named is green.")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: Any, code: str) -> str:
    """Return what a cell prints, once those before it have ended."""
    printed = []

    def note(message: Any) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    client.execute_interactive(code, timeout=CELL_S, output_hook=note)
    return "".join(printed)
