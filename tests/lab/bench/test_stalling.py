"""An upstream is stalled when it has sent something and then nothing more, and not before."""

import asyncio
from collections.abc import Iterator

import pytest

from stages.lab.bench import stalling
from stages.lab.bench.bench import Bench
from stages.lab.bench.stalling import stalled
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Pause, Role, Script, Token


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(2) as bench:
        yield bench


async def watch(bench: Bench, script: Script) -> Entry | None:
    prompt = await bench.register(script)
    async with bench.client(prompt):
        return await stalled(bench, prompt)


def test_what_was_sent_before_the_stall_is_in_the_entry(bench: Bench) -> None:
    entry = asyncio.run(watch(bench, Script((Role(), Token("a"), Token("b"), Pause(60)))))

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
    monkeypatch.setattr(stalling, "COME_S", 1.0)  # nothing comes, however long we wait

    assert asyncio.run(watch(bench, Script(steps))) is None
