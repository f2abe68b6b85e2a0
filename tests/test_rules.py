"""The rules that the stages keep among themselves. `make check` runs this file."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import catalog, lab
from stages.lab import diffs
from stages.lab.doctor.packages import normal, pinned
from tests.helpers.places import ROOT

STAGE_FILES = {stage.stem: ROOT / "stages" / f"{stage.stem}.py" for stage in catalog.STAGES}
TURN_FILES = {
    turn.stem: ROOT / "stages" / "wrong_turns" / f"{turn.stem}.py" for turn in catalog.WRONG_TURNS
}
LAB = ROOT / "stages" / "lab"
LAB_FILES = sorted(LAB.rglob("*.py"))
ROOMS = sorted({path.parent for path in LAB_FILES})
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Changed lines against the base, added and removed. A stage is read as a diff: when a number grows,
# the lesson has grown, so change it here on purpose or not at all.
SIZES = {
    "s02_json_safe": (80, 16),
    "s03_disconnect_aware": (66, 18),
    "s04_backpressured": (94, 22),
    "s05_shielded_usage": (106, 11),
    "s06_telemetry": (121, 13),
    "s03_polling": (21, 32),
    "s03_detached_reader": (18, 7),
    "s03_yield_on_cancel": (7, 6),
    "s04_put_and_yield": (28, 49),
    "s04_unbounded_queue": (4, 7),
    "s04_orphan_producer": (9, 8),
    "s04_semaphore_in_handler": (9, 7),
    "s05_plain_finally": (24, 22),
    "s05_asyncio_shield": (24, 22),
    "s05_create_task": (6, 5),
    "s05_request_session": (27, 16),
    "s06_middleware_timer": (18, 7),
    "s02_escape_newlines": (5, 7),
    "s02_done_in_finally": (5, 5),
    "s02_raise_after_error": (5, 4),
    "s02_error_text": (7, 7),
}

# A module of the lab has about 200 lines and a function about 30; these are a tenth more. What is
# longer stands here with the reason why nobody gains from a cut: a module by its path, a function
# as path::name. A docstring is no line of its function.
MODULE_LINES, FUNCTION_LINES = 220, 33
LONG = {
    "stages/lab/bench/bench.py": "all that a probe can ask of its servers is one class",
    "stages/lab/cli/report.py": "the same cells in six views, which share their marks and words",
    "stages/lab/upstream/script.py": "a list of the steps, for whoever looks one up",
}


def imports(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def our_imports(source: str) -> list[str]:
    return [name for name in imports(source) if name.split(".")[0] in ("stages", "solutions")]


def cells(notebook: Path) -> list[str]:
    document = json.loads(notebook.read_text())
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("stem", [*STAGE_FILES, *TURN_FILES])
def test_a_stage_imports_no_other_stage_and_nothing_of_the_lab(stem: str) -> None:
    source = (STAGE_FILES | TURN_FILES)[stem].read_text()

    assert our_imports(source) == []


@pytest.mark.parametrize("path", LAB_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_lab_knows_the_stages_only_through_the_catalogue(path: Path) -> None:
    foreign = [
        name
        for name in our_imports(path.read_text())
        if not name.startswith(("stages.lab", "stages.catalog"))
    ]

    assert foreign == []


def lengths(source: str, path: str) -> Iterator[tuple[str, int, int]]:
    """Yield a module and each of its functions: the name in LONG, the lines, how many may be."""
    yield path, len(source.splitlines()), MODULE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                words = node.body[0]
                lines -= (words.end_lineno or 0) - words.lineno + 1
            yield f"{path}::{node.name}", lines, FUNCTION_LINES


def too_long(source: str, path: str) -> list[str]:
    """Return what is longer than it may be, and what to do about it."""
    return [
        f"{name} has {lines} lines, and {most} are the most. Split it where the reader gains: a "
        "module by subject, a function into steps that have a name. Where nobody gains, write the "
        "reason into LONG in tests/test_rules.py."
        for name, lines, most in lengths(source, path)
        if lines > most and name not in LONG
    ]


def out_of_date(sources: dict[str, str]) -> list[str]:
    """Return the entries of LONG that nothing needs any more, and what to do about them."""
    long = {
        name
        for path, source in sources.items()
        for name, lines, most in lengths(source, path)
        if lines > most
    }
    return [
        f"{name} is short enough, or gone. Take it out of LONG in tests/test_rules.py."
        for name in LONG
        if name not in long
    ]


@pytest.mark.parametrize("path", LAB_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_of_the_lab_and_its_functions_are_short_or_have_a_reason(path: Path) -> None:
    assert too_long(path.read_text(), path.relative_to(ROOT).as_posix()) == []


def test_a_reason_to_be_long_goes_when_the_length_has_gone() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in LAB_FILES}

    assert out_of_date(sources) == []


def test_a_long_module_is_told_to_be_split_by_subject_or_to_give_a_reason() -> None:
    (told,) = too_long("x = 1\n" * 221, "stages/lab/new.py")

    assert told.startswith("stages/lab/new.py has 221 lines, and 220 are the most. Split it")
    assert "a module by subject" in told
    assert "write the reason into LONG in tests/test_rules.py" in told


def test_a_docstring_is_no_line_of_its_function() -> None:
    words = '    """One.\n\n    Two.\n    """\n'
    short = f"def act():\n{words}" + "    x = 1\n" * 32
    long = f"{short}    x = 1\n"

    (told,) = too_long(long, "new.py")

    assert too_long(short, "new.py") == []
    assert told.startswith("new.py::act has 34 lines, and 33 are the most.")


def test_a_reason_that_nothing_needs_is_named() -> None:
    sources = dict.fromkeys(LONG, "x = 1\n")

    assert [told.split(" is short enough, or gone.")[0] for told in out_of_date(sources)] == [*LONG]


def test_a_room_of_the_lab_imports_nothing_of_the_rooms_above_it() -> None:
    linted = lint(ROOT)

    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("room", "line", "told"),
    [
        ("clients", "from stages.lab.bench import bench", ("clients", "bench", "clients.new -> ")),
        ("show", "import stages.lab.checks", ("show", "checks", "show.new -> ")),  # neighbours
        ("text", "from stages.lab.cli import console", ("text", "cli", "text -> ")),
    ],
)
def test_an_import_of_a_room_above_is_named_with_the_reason(
    tmp_path: Path, room: str, line: str, told: tuple[str, str, str]
) -> None:
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    new = tmp_path / "stages" / "lab" / (f"{room}.py" if room == "text" else f"{room}/new.py")
    with new.open("a") as file:
        file.write(f"\n{line}\n")

    linted = " ".join(lint(tmp_path).stdout.split())

    importer, imported, chain = told
    assert "A room imports what is below it, so that it can be read and started without" in linted
    assert f"stages.lab.{importer} is not allowed to import stages.lab.{imported}" in linted
    assert f"- stages.lab.{chain}stages.lab.{imported}" in linted


def test_a_room_that_nobody_has_given_a_floor_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "stages" / "lab" / "cupboard.py").touch()

    assert "stages.lab.cupboard" in lint(tmp_path).stdout


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_says_in_a_sentence_what_it_is_for(room: Path) -> None:
    words = docstring(room / "__init__.py").splitlines() if (room / "__init__.py").exists() else []

    assert words, f"{room.name}/__init__.py has to say in one sentence what the room is for."


@pytest.mark.parametrize(
    ("file", "heading"),
    [("README.md", "## Layout"), ("CONTRIBUTING.md", "## The rooms of the lab")],
)
def test_every_room_is_on_the_maps(file: str, heading: str) -> None:
    section = (ROOT / file).read_text().partition(f"{heading}\n")[2].partition("\n## ")[0]
    drawn = [line for line in section.splitlines() if line.startswith("    ")]
    rooms = {room.name for room in ROOMS if room.parent == LAB}

    missing = rooms - set(re.findall(r"[a-z]+", "\n".join(drawn)))
    assert missing == set(), f"Draw it in {file}, where the others are."


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Hold a checkout to the order of the rooms, which pyproject.toml has."""
    code = "from importlinter import cli; cli.lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_from_the_lab_itself_and_from_its_own_checks(path: Path) -> None:
    offered = {"stages.lab", f"stages.lab.checks.{path.stem}"}

    for cell in cells(path):
        assert {name.rpartition(".")[0] for name in our_imports(cell)} <= offered
        assert cell.count("from stages") <= 2


@pytest.mark.parametrize("name", lab.__all__)
def test_what_the_lab_offers_is_there(name: str) -> None:
    assert getattr(lab, name) is not None


def test_every_stage_file_is_in_the_catalogue() -> None:
    files = sorted((ROOT / "stages").glob("s[0-9][0-9]_*.py"))

    assert files == sorted(STAGE_FILES.values())


def test_every_wrong_turn_file_is_in_the_catalogue() -> None:
    files = sorted((ROOT / "stages" / "wrong_turns").glob("s*.py"))

    assert files == sorted(TURN_FILES.values())


@pytest.mark.parametrize("stage", catalog.STAGES, ids=lambda stage: stage.stem)
def test_a_stage_says_its_claim_what_is_new_how_to_run_and_what_is_wrong(
    stage: catalog.Stage,
) -> None:
    title, _, new, run, wrong = docstring(STAGE_FILES[stage.stem]).splitlines()

    assert title == f"{stage.title}."
    assert new.startswith(f"New since s{stage.number - 1:02}: ")
    assert run in commands(stage.app)
    assert wrong.startswith("Still wrong: ")


@pytest.mark.parametrize("turn", catalog.WRONG_TURNS, ids=lambda turn: turn.stem)
def test_a_wrong_turn_says_the_mistake_how_to_run_and_where_it_is_seen(
    turn: catalog.WrongTurn,
) -> None:
    title, _, instead, run, seen_in = docstring(TURN_FILES[turn.stem]).splitlines()

    assert title.startswith("Wrong turn: ")
    assert instead.startswith(f"Instead of {turn.base[:3]}: ")
    assert run in commands(turn.app)
    assert seen_in == f"Seen in: {turn.seen_in}."


def commands(app: str) -> tuple[str, str]:
    """Return what may stand behind `Run:`; from s05 on, a stop has to be bounded."""
    command = f"Run: uvicorn {app}"
    return command, f"{command} --timeout-graceful-shutdown 3"


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


@pytest.mark.parametrize("stage", catalog.STAGES, ids=lambda stage: stage.stem)
def test_one_stem_names_the_stage_its_notebook_and_its_tests(stage: catalog.Stage) -> None:
    assert re.fullmatch(rf"s{stage.number:02}_[a-z_]+", stage.stem)
    assert (ROOT / "notebooks" / f"{stage.stem}.ipynb").is_file()
    assert (ROOT / "tests" / "stages" / f"test_{stage.stem}.py").is_file()


@pytest.mark.parametrize("turn", catalog.WRONG_TURNS, ids=lambda turn: turn.stem)
def test_a_wrong_turn_starts_with_the_stage_that_it_pretends_to_be(
    turn: catalog.WrongTurn,
) -> None:
    assert turn.stem[:3] == turn.base[:3]


@pytest.mark.parametrize("entry", [*catalog.STAGES[1:], *catalog.WRONG_TURNS], ids=lambda e: e.stem)
def test_a_diff_has_the_size_that_was_meant(entry: catalog.Stage | catalog.WrongTurn) -> None:
    assert entry.base is not None

    size = diffs.size(entry.base, entry.stem)

    assert (size.added, size.removed) == SIZES.get(entry.stem), (
        f"The diff from {entry.base} to {entry.stem} is {size}. Read it aloud; if that is what was "
        "meant, write it into SIZES in tests/test_rules.py."
    )


def test_every_dependency_is_pinned() -> None:
    project = (ROOT / "pyproject.toml").read_text()

    named = {normal(name) for name in re.findall(r'^\s+"([A-Za-z0-9_-]+)[^"]*>=', project, re.M)}

    assert len(named) > 15  # the pattern has found the list
    assert named <= pinned(ROOT).keys()
