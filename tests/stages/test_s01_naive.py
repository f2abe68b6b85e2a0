"""s01 promises: it streams, and it works in the demo."""

import asyncio
from collections.abc import Iterator

import pytest

from stages.lab.bench.bench import Answer, Bench
from stages.lab.doctor.model import DEFAULT_MODEL
from stages.lab.upstream.script import Refusal, Script, Token


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench("s01_naive") as bench:
        yield bench


@pytest.fixture(scope="module")
def answer(bench: Bench) -> Answer:
    return asyncio.run(bench.ask(Script.answer("Hello", " world", delay_s=0.1)))


def test_the_answer_is_an_event_stream(answer: Answer) -> None:
    assert answer.client.status == 200
    assert answer.client.headers["content-type"].startswith("text/event-stream")


def test_every_delta_is_an_event_and_done_ends_the_answer(answer: Answer) -> None:
    """The first event is empty: a provider opens with a delta that has a role and no text."""
    assert (
        answer.client.body == b"data: \n\ndata: Hello\n\ndata:  world\n\ndata: \n\ndata: [DONE]\n\n"
    )


def test_the_answer_ends_cleanly(answer: Answer) -> None:
    assert answer.client.ended == "clean"


def test_each_token_is_passed_on_before_the_next_one_comes(bench: Bench) -> None:
    script = Script((Token("one"), Token("two", delay_s=0.5)))

    answer = asyncio.run(bench.ask(script))

    assert answer.entry is not None
    (one_s, _), *_ = answer.client.items
    two_sent_s = answer.entry.sent[-1].at_s
    assert one_s < two_sent_s


def test_the_request_goes_on_as_it_came(answer: Answer) -> None:
    assert answer.entry is not None
    assert answer.entry.asked["model"] == DEFAULT_MODEL
    assert answer.entry.asked["messages"][0]["role"] == "user"


def test_the_sdk_asks_three_times_before_it_gives_up(bench: Bench) -> None:
    """What a reader of the code does not see: the SDK's default is two retries."""
    script = Script(refusal=Refusal(500, headers=(("retry-after-ms", "1"),)))

    async def ask_and_count() -> int:
        prompt = await bench.register(script)
        async with bench.client(prompt) as client:
            await client.read(deadline_s=10)
        return len(await bench.entries(prompt))

    assert asyncio.run(ask_and_count()) == 3
