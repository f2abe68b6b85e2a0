"""Leaving: a leave happens at its moment, or is said not to have happened.

An upstream is stalled when it has sent something and then nothing more, and not before.
"""

import asyncio
from collections.abc import Iterator

import pytest

from stages.lab.bench import leaving
from stages.lab.bench.bench import Bench
from stages.lab.bench.leaving import NeverCame, ask_and_leave, has_read, leave, stalled
from stages.lab.matrix.cells import measure
from stages.lab.probes import find, s03_disconnect_aware
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Pause, Role, Script, Token

SILENT = Script((Role(), Token("a"), Pause(30.0)))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(2) as bench:
        yield bench


# Leaving.


def test_the_client_leaves_when_it_has_read_the_text(bench: Bench) -> None:
    answer = asyncio.run(leave(bench, SILENT, has_read("a")))

    assert answer.client.ended == "left"
    assert answer.told.text == "a"


def test_a_text_that_does_not_come_is_no_moment_to_leave(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "COME_S", 0.3)  # the text never comes, however long we wait

    with pytest.raises(NeverCame, match=r"the moment to leave had not come after 0\.3 s"):
        asyncio.run(leave(bench, SILENT, has_read("b")))


def test_an_answer_that_ends_first_leaves_no_moment(bench: Bench) -> None:
    with pytest.raises(NeverCame):
        asyncio.run(leave(bench, Script.answer("a"), has_read("b")))


def test_a_probe_is_red_where_nobody_could_leave(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends no text must not pass because its upstream was closed in time."""
    monkeypatch.setattr(s03_disconnect_aware, "SILENT", Script((Role(), Pause(30.0))))
    monkeypatch.setattr(leaving, "COME_S", 0.3)

    verdict = asyncio.run(measure(bench, find("leave-in-silence"))).verdict

    assert verdict.green is False
    assert "the moment to leave had not come" in verdict.finding


def test_asking_once_leaves_when_the_upstream_has_the_request() -> None:
    answer = asyncio.run(ask_and_leave(1, Script.answer("a", headers_after_s=5.0)))

    assert answer.client.ended == "left"
    assert answer.client.items == []


# Stalling.


async def stall(bench: Bench, script: Script) -> Entry | None:
    prompt = await bench.register(script)
    async with bench.client(prompt):
        return await stalled(bench, prompt)


def test_what_was_sent_before_the_stall_is_in_the_entry(bench: Bench) -> None:
    entry = asyncio.run(stall(bench, Script((Role(), Token("a"), Token("b"), Pause(60)))))

    assert entry is not None
    assert entry.tokens == 2


@pytest.mark.parametrize(
    "steps",
    [(Role(), *[Token("a", delay_s=0.01)] * 3000), (Role(), Pause(60))],
    ids=["it goes on", "no token has come"],
)
def test_an_upstream_that_is_not_held_up_is_not_stalled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, steps: tuple[Role | Token | Pause, ...]
) -> None:
    monkeypatch.setattr(leaving, "COME_S", 1.0)  # nothing comes, however long we wait

    assert asyncio.run(stall(bench, Script(steps))) is None
