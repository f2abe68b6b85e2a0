"""A build exercise starts from the previous stage, loses no work, and explains what fails.

That the probes decide is proved by the catalogue's cells; here each kind of file is tried.
"""

from pathlib import Path

import pytest

from stages import catalog
from stages.lab.bench.verdict import Verdict
from stages.lab.checks import all_exercises
from stages.lab.exercises import work
from stages.lab.exercises.build import Build
from stages.lab.matrix import lanes
from stages.lab.matrix.cells import Cell, ProbeBroken
from stages.lab.processes.process import NotReady, ProcessError
from tests.helpers.places import ROOT

BUILDS = [one for one in all_exercises() if isinstance(one, Build)]
TURNS = [
    (turn, build) for turn in catalog.WRONG_TURNS for build in BUILDS if turn.base == build.stem
]
AGAIN = pytest.mark.slow("a wrong turn as a build, red in the catalogue already")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.setenv("STAGES_WORK", str(folder))
    return folder


@pytest.fixture
def build() -> Build:
    return BUILDS[1]


def names_of(build: Build) -> list[str]:
    return [probe.name for probe in build.probes]


def stage_file(stem: str) -> str:
    return (ROOT / "stages" / f"{stem}.py").read_text()


def test_every_stage_but_the_first_is_built() -> None:
    assert [build.number for build in BUILDS] == [2, 3, 4, 5, 6]


def test_it_starts_with_the_task_and_the_previous_stage(build: Build) -> None:
    told = repr(build.start())

    task, _, code = build.path.read_text().partition("\n\n")
    assert told == "work/s03.py is stage 2, with your task above it. Edit it, then check."
    assert "#   leave-before-headers\n" in task
    assert "leave-mid-stream" not in task  # stage 2 has it already
    assert code == stage_file("s02_json_safe")


def test_work_that_is_there_is_never_overwritten_unasked(build: Build) -> None:
    build.path.write_text("mine")

    told = repr(build.start())

    assert build.path.read_text() == "mine"
    assert "is there already and stays as it is" in told
    assert "python -m stages exercise 3 --overwrite" in told


def test_work_that_is_overwritten_on_demand_is_kept_under_another_name(build: Build) -> None:
    for text in ("first", "second"):
        build.path.write_text(text)
        told = repr(build.start(overwrite=True))

    assert build.path.read_text() == build.as_started()
    assert build.path.with_name("s03.kept-1.py").read_text() == "first"
    assert build.path.with_name("s03.kept-2.py").read_text() == "second"
    assert told.endswith("Your earlier file is work/s03.kept-2.py now.")


def test_a_folder_that_cannot_be_written_is_explained(build: Build, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file where the folder should be")

    with pytest.raises(work.WorkError, match=r"could not be written: .* set STAGES_WORK"):
        build.start()


def test_without_a_file_it_is_not_attempted(build: Build) -> None:
    outcome = build.check()

    assert outcome.state == "not attempted"
    assert outcome.finding == "There is no work/s03.py yet: python -m stages exercise 3"


def test_a_file_as_it_was_made_is_not_attempted(build: Build) -> None:
    build.start()

    assert repr(build.check()) == ("· build: not attempted. work/s03.py is still as it was made.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "def f(:\n",
            ["got     SyntaxError: invalid syntax", "line 1: def f(:\n" + " " * 24 + "^"],
        ),
        ("\n\n\nx = '\n", ["SyntaxError: unterminated string", "at      line 4: x = '"]),
        (
            "import nope\n",
            ["got     ModuleNotFoundError: No module named 'nope'", "line 1: import"],
        ),
        ("import os\nos.x\n", ["AttributeError: module 'os' has no", "at      line 2: os.x"]),
        ("app = 3\n", ["is no ASGI app but 3"]),
        ("server = 3\n", ["has no 'app'. Call its app so"]),
        ("import os\nos._exit(3)\n", ["ended with exit code 3"]),
        ("from fastapi import FastAPI\napp = FastAPI()\n", ["to one question: status 404"]),
    ],
)
def test_a_file_that_cannot_be_probed_is_explained_without_a_traceback(
    build: Build, text: str, words: list[str]
) -> None:
    build.path.write_text(text)

    told = repr(build.check())

    assert told.startswith("✗ build: not yet. No probe could be run.\n")
    assert all(word in told for word in words), told
    assert "Traceback" not in told
    assert "stages/lab" not in told


def test_a_file_that_is_no_text_is_explained(build: Build) -> None:
    build.path.write_bytes(b"\xff\xfe\x00")

    assert "got     UnicodeDecodeError: " in repr(build.check())


def test_a_file_that_does_not_get_ready_is_explained_by_where_it_stood(build: Build) -> None:
    build.path.write_text("\n\n\nwaits_for_ever()\n")
    exc = NotReady(
        "The server was not ready after 30 s and was killed. Its log ends with:\n"
        "Current thread (most recent call first):\n"
        f'  File "{build.path}", line 4 in <module>\n'
        '  File "host.py", line 74 in _import_file\n'
    )

    assert work.why_not_started(exc, build.path) == (
        "nothing: it waits, and does not get ready",
        "line 4: waits_for_ever()",
    )


def test_a_file_that_fails_with_the_words_of_a_late_one_is_told_as_it_failed(build: Build) -> None:
    failed = ProcessError("Its log ends with:\n    RuntimeError: it was not ready after 3 s")

    assert work.why_not_started(failed, build.path) == (
        "RuntimeError: it was not ready after 3 s",
        "",
    )


HANGS = """
import asyncio
from fastapi import FastAPI
app = FastAPI()
@app.post("/chat")
async def chat():
    await asyncio.Event().wait()
"""


def test_a_server_that_never_answers_is_said_so_before_any_probe(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.lab.exercises.build.FIRST_ANSWER_S", 0.5)
    build.path.write_text(HANGS)

    assert "got     to one question: nothing in 0.5 s. Probably" in repr(build.check())


# One probe each decides: that every one of them is red there, the catalogue's own test proves.


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.stem)
def test_the_previous_stage_is_not_yet(build: Build) -> None:
    name = next(name for name in names_of(build) if not catalog.expected(name, build.base.stem))
    build.path.write_text(stage_file(build.base.stem))

    outcome = build.check(name)

    assert (outcome.state, outcome.finding) == ("not yet", "1 of 1 probes is red.")


def one_each() -> list[object]:
    """Return every wrong turn: the first of each build as it is, the others as slow tests."""
    first = {build.stem: turn for turn, build in reversed(TURNS)}
    return [
        pytest.param(turn, build, marks=() if first[build.stem] is turn else AGAIN)
        for turn, build in TURNS
    ]


@pytest.mark.parametrize(("turn", "build"), one_each(), ids=lambda each: each.stem)
def test_a_wrong_turn_is_not_yet(turn: catalog.WrongTurn, build: Build) -> None:
    build.path.write_text((ROOT / "stages" / "wrong_turns" / f"{turn.stem}.py").read_text())

    outcome = build.check(next(name for name in turn.fails if name in names_of(build)))

    assert (outcome.state, outcome.finding) == ("not yet", "1 of 1 probes is red.")


FAILS = """
from fastapi import FastAPI
app = FastAPI()
@app.post("/chat")
async def chat():
    return {}["nothing"]
"""
LOOPS = """
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()
async def events():
    yield "data: a\\n\\n"
    while True:
        pass
@app.post("/chat")
async def chat():
    return StreamingResponse(events(), media_type="text/event-stream")
"""


def test_a_server_that_fails_is_shown_with_its_exception_and_its_line(build: Build) -> None:
    build.path.write_text(FAILS)

    told = repr(build.check())

    assert "got     to one question: status 500\n" in told
    assert "at      KeyError: 'nothing'\n          line 6: return {}[\"nothing\"]" in told


def test_a_stream_that_loops_for_ever_is_shown_with_its_line(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.lab.exercises.build.FIRST_ANSWER_S", 1.0)
    build.path.write_text(LOOPS)

    told = repr(build.check())

    assert "and no end in 1 s. Probably it waits for something, or loops" in told
    assert "line 7: while True:" in told or "line 8: pass" in told


def test_a_probe_that_there_is_not_is_told_without_a_traceback(build: Build) -> None:
    told = repr(build.check("text-survive"))

    assert told.startswith("✗ build: not yet. There is no probe 'text-survive'. There are: ")


def test_what_is_named_and_green_is_right_so_far(build: Build) -> None:
    build.path.write_text(stage_file("s03_disconnect_aware"))

    outcome = build.check("usage-chunk-survives")

    assert (outcome.state, outcome.finding) == (
        "right so far",
        "What you named is green. Without a name, all of them are run.",
    )


def test_a_red_probe_is_shown_with_its_rule_and_how_to_see_more(build: Build) -> None:
    build.path.write_text(stage_file("s02_json_safe"))

    outcome = build.check("usage-chunk-survives", "leave-before-headers")

    told = repr(outcome)
    assert outcome.probe == "leave-before-headers"
    assert "✗ build: not yet. 1 of 2 probes is red.\n" in told
    assert "  probes  ✓ usage-chunk-survives\n          ✗ leave-before-headers\n" in told
    assert "  got     a closed window: the upstream was still open" in told
    assert f"  look    python -m stages probe {build.path} leave-before-headers " in told


def test_a_probe_that_breaks_is_no_fault_of_the_learner(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*targets: object, **options: object) -> list[Cell]:
        raise ProbeBroken("The probe leave-mid-stream gave no verdict")

    monkeypatch.setattr(lanes, "tour", broken)
    build.path.write_text(stage_file("s02_json_safe"))

    told = repr(build.check())

    assert "That is a fault of the lab, and not of your file." in told
    assert "  got  The probe leave-mid-stream gave no verdict\n" in told


def test_the_solution_is_our_diff(build: Build) -> None:
    assert "+++ stages/s03_disconnect_aware.py" in repr(build.solution())


def test_what_could_not_be_measured_is_neither_right_nor_not_yet(build: Build) -> None:
    cells = [Cell("s03", "text-survives", Verdict("green", "it held"), None, 0.0)]
    cells += [Cell("s03", "leave-mid-stream", Verdict("unmeasured", "it was busy"), None, 0.0)]

    outcome = build._judged(cells)

    assert repr(outcome).split("\n") == [
        "? build: not measured. 1 of 2 probes could not be measured. Try again.",
        "  probes  ✓ text-survives",
        "          ? leave-mid-stream",
        "  got     it was busy",
        "  do      Close what keeps this machine busy, and check again. It is neither right nor "
        "wrong.",
    ]


def test_what_is_red_is_not_yet_also_where_something_else_could_not_be_measured(
    build: Build,
) -> None:
    cells = [Cell("s03", "leave-mid-stream", Verdict("unmeasured", "it was busy"), None, 0.0)]
    cells += [Cell("s03", "text-survives", Verdict("red", "it lost text"), None, 0.0)]

    outcome = build._judged(cells)

    assert outcome.state == "not yet"
    assert outcome.finding == "1 of 2 probes is red."
