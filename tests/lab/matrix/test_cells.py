"""The matrix: what was measured stands beside what was expected; the right side is blamed."""

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from stages.lab.bench.bench import Bench
from stages.lab.bench.verdict import Late, State, Verdict, judge
from stages.lab.matrix import cells
from stages.lab.matrix.cells import Cell, ProbeBroken, measure, one_by_one, to_json
from stages.lab.probes import Measure, Probe, ProbeError
from stages.lab.processes.serve import ServerOptions
from stages.lab.processes.targets import TargetError
from stages.lab.upstream.script import Script
from tests.helpers.places import SERVERS

CRASHES = SERVERS / "crashes.py"
FAST = "usage-chunk-survives"


def cell(*, green: bool, expected: bool | None) -> Cell:
    return Cell(
        "s01_naive",
        "a-probe",
        Verdict("green" if green else "red", "what was found"),
        expected,
        0.0,
    )


def as_probe(experiment: Measure) -> Probe:
    return Probe("a-probe", 2, experiment)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(1) as bench:
        yield bench


@pytest.mark.parametrize(("green", "word"), [(True, "red"), (False, "green")])
def test_an_unexpected_verdict_is_a_surprise_both_ways(green: bool, word: str) -> None:
    surprise = cell(green=green, expected=not green).surprise

    assert surprise is not None
    assert surprise.startswith(f"a-probe on s01_naive should be {word}: ")


@pytest.mark.parametrize("expected", [True, None])
def test_an_expected_verdict_and_one_of_which_nothing_is_expected_are_none(
    expected: bool | None,
) -> None:
    assert cell(green=True, expected=expected).surprise is None


def test_a_cell_says_what_the_server_wrote_meanwhile(bench: Bench) -> None:
    (found,) = asyncio.run(one_by_one("s02_json_safe", "failure-is-told"))

    assert "upstream_failed" in found.log
    assert "Application startup complete" not in found.log


def test_a_probe_that_raises_is_the_labs_fault(bench: Bench) -> None:
    async def broken(bench: Bench) -> Verdict:
        raise RuntimeError("a mistake in the probe")

    with pytest.raises(ProbeBroken, match=r"a-probe gave no verdict on s01_naive: .*a mistake"):
        asyncio.run(measure(bench, as_probe(broken)))


def test_a_server_that_ends_is_red_and_its_exit_code_is_told() -> None:
    (found,) = asyncio.run(one_by_one(str(CRASHES), FAST))

    assert found.verdict.green is False
    assert found.verdict.finding.endswith(": the server ended with exit code 7")


def test_the_probe_after_a_crash_gets_a_new_server() -> None:
    first, second = asyncio.run(one_by_one(str(CRASHES), FAST, "truncation-is-told"))

    assert "got a request" in first.log
    assert "got a request" in second.log


def test_a_shaped_server_that_ends_is_red_too(bench: Bench) -> None:
    async def crash(bench: Bench) -> Verdict:
        server = bench.shaped(ServerOptions(middleware=True))
        os.kill(server.pid, 9)
        raise ConnectionResetError

    found = asyncio.run(measure(bench, as_probe(crash)))

    told = "the probe could not go on: the server ended with exit code -9"
    assert found.verdict.finding == told


def test_the_json_has_the_evidence_and_whether_it_was_expected() -> None:
    (document,) = json.loads(to_json([cell(green=True, expected=False)]))

    assert document["verdict"]["finding"] == "what was found"
    assert document["as_expected"] is False


def test_an_unknown_probe_is_explained() -> None:
    with pytest.raises(ProbeError, match=r"There is no probe 'txet'\. There are: text-survives"):
        asyncio.run(one_by_one(1, "txet"))


def test_an_unknown_target_is_explained() -> None:
    with pytest.raises(TargetError, match="'9' is no stage and no file"):
        asyncio.run(one_by_one(9))


def test_the_log_is_that_of_every_server_that_the_probe_used(bench: Bench) -> None:
    async def use(bench: Bench) -> Verdict:
        await bench.ask(Script.answer("a"), server=bench.shaped(ServerOptions(middleware=True)))
        return Verdict("green", "used")

    found = asyncio.run(measure(bench, as_probe(use)))

    assert "POST /chat" in found.log


def test_a_probe_that_waits_for_ever_is_red(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(bench: Bench) -> Verdict:
        await asyncio.Event().wait()
        return Verdict("green", "never")

    monkeypatch.setattr(cells, "PROBE_S", 0.1)
    found = asyncio.run(measure(bench, as_probe(wait)))

    assert str(found.verdict) == "✗ no verdict after 0.1 s: probably the server hangs"


def test_a_server_that_a_probe_has_ended_is_no_crash(bench: Bench) -> None:
    async def end(bench: Bench) -> Verdict:
        server = bench.shaped(ServerOptions(middleware=True))
        server.signal(signal.SIGTERM)
        server.wait(10)
        return Verdict("red", "red")

    assert asyncio.run(measure(bench, as_probe(end))).verdict.finding == "red"


UNSURE = judge({"a": Late("it came late", 1.0, taken_s=2.0)}, "it held")


def test_a_verdict_that_was_not_measured_is_neither_as_expected_nor_a_surprise() -> None:
    unsure = Cell("s01_naive", "a-probe", UNSURE, True, 0.0)

    assert unsure.as_expected is None
    assert unsure.surprise is None
    (document,) = json.loads(to_json([unsure]))
    assert document["as_expected"] is None
    assert document["verdict"]["state"] == "unmeasured"


@pytest.mark.parametrize(
    ("verdicts", "state", "runs"),
    [
        ([UNSURE, Verdict("green", "it held")], "green", 2),
        ([UNSURE, UNSURE, Verdict("red", "it did not")], "red", 3),
        ([UNSURE] * 9, "unmeasured", 3),
        ([Verdict("red", "it did not")] * 9, "red", 1),
    ],
)
def test_what_was_not_measured_is_tried_again_a_few_times_and_what_is_red_is_not(
    verdicts: list[Verdict], state: State, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter(verdicts)
    count, told = itertools.count(1), list[Cell]()

    async def unsure(bench: Bench) -> Verdict:
        next(count)
        return next(asked)

    monkeypatch.setattr(cells, "find", lambda name: as_probe(unsure))
    (found,) = asyncio.run(one_by_one(1, "a-probe", on_cell=told.append))

    assert (found.verdict.state, next(count) - 1) == (state, runs)
    assert told == [found]


def test_a_crash_is_red_however_busy_the_machine_is(bench: Bench) -> None:
    async def crash(bench: Bench) -> Verdict:
        os.kill(bench.shaped(ServerOptions(middleware=True)).pid, 9)
        return UNSURE

    assert asyncio.run(measure(bench, as_probe(crash))).verdict.red


def test_a_probe_runs_under_the_eyes_of_a_witness(bench: Bench) -> None:
    async def held_up(bench: Bench) -> Verdict:
        since_s = time.monotonic()
        while time.monotonic() < since_s + 0.3:
            pass
        return judge({"a": bench.witness.never("it came late", 0.1, since_s=since_s)}, "it held")

    assert not asyncio.run(measure(bench, as_probe(held_up))).verdict.measured
