"""The README says what is true now: its commands work, its table and its picture are today's."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import catalog
from stages.lab import diffs, show
from stages.lab.bench.verdict import Verdict
from stages.lab.clients.client import Client
from stages.lab.matrix.cells import Cell
from stages.lab.probes import all_probes
from stages.lab.processes.process import Process
from stages.lab.processes.serve import API_KEY, upstream
from tests.helpers.places import ROOT

README = (ROOT / "README.md").read_text()
CODE = [line.strip() for line in README.splitlines() if line.startswith("    ")]
START_S = 30.0  # what a server may take to start on a cold disk
ALONE = pytest.mark.slow("a stage under plain uvicorn, as the last one is")


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    missing = [link for link in links if not (ROOT / link).is_file()]

    assert len(links) > 5
    assert missing == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z-]+)", README))))
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "command", sorted({line.split("#")[0].strip() for line in CODE if "-m stages " in line})
)
def test_every_command_is_understood(command: str) -> None:
    """The commands that need a server have tests of their own; here, the words must be right."""
    words = shlex.split(command)[1:3] + shlex.split(command)[3:4]

    run = subprocess.run(
        [sys.executable, *words, "--help"], capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("stage", catalog.STAGES, ids=lambda stage: stage.stem)
def test_the_table_has_every_stage_with_its_fix_and_the_size_of_its_diff(
    stage: catalog.Stage,
) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [{stage.stem}]")]

    size = "" if stage.base is None else str(diffs.size(stage.base, stage.stem)).replace("-", "−")
    assert row.split("|")[3].strip() == size
    assert stage.fix in row


def test_the_picture_is_what_the_tool_draws_from_the_verdicts(tmp_path: Path) -> None:
    """The verdicts of the catalogue, which test_catalog.py holds to what the probes say."""
    cells = []
    for stage in catalog.STAGES:
        for probe in all_probes():
            green = catalog.expected(probe.name, stage.stem)
            assert green is not None
            cells.append(
                Cell(stage.stem, probe.name, Verdict("green" if green else "red", ""), green, 0.0)
            )

    show.staircase(cells).save(tmp_path / "staircase.svg")

    drawn = (tmp_path / "staircase.svg").read_text()
    assert drawn == (ROOT / "notebooks" / "staircase.svg").read_text()


@pytest.fixture(scope="module")
def provider() -> Iterator[Process]:
    with upstream() as provider:
        yield provider


@pytest.mark.parametrize(
    "stage",
    # The last one imports all that the others do.
    [*(pytest.param(stage, marks=ALONE) for stage in catalog.STAGES[:-1]), catalog.STAGES[-1]],
    ids=lambda stage: stage.stem,
)
def test_a_stage_runs_under_uvicorn_with_nothing_of_the_lab(
    provider: Process, stage: catalog.Stage
) -> None:
    """As its docstring and the README say, with the environment that a provider needs."""
    argv = [sys.executable, "-m", "uvicorn", stage.app, "--port", "0"]
    env = {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": API_KEY}
    server = subprocess.Popen(
        argv, stderr=subprocess.PIPE, text=True, env={**os.environ, **env, "NO_PROXY": "*"}
    )
    try:
        url = announced(server)
        text = asyncio.run(streamed(f"{url}/chat"))
    finally:
        server.terminate()
        server.communicate(timeout=START_S)

    assert text.count("data: ") > 20  # the upstream's own text has more than 30 words


def announced(server: subprocess.Popen[str]) -> str:
    """Return the URL that uvicorn prints when it listens."""
    assert server.stderr is not None
    for line in server.stderr:  # ends when the process does; the test has a timeout of its own
        if found := re.search(r"running on (http://[\d.:]+)", line):
            return found[1]
    raise AssertionError("uvicorn ended without listening")


async def streamed(url: str) -> str:
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode()
    async with Client(url, body) as client:
        await client.read(deadline_s=START_S)
    assert client.ended == "clean"
    return bytes(client.body).decode()
