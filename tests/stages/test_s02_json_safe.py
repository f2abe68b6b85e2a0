"""s02 promises: text and failure both arrive as data."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from stages.lab.bench.bench import Answer, Bench
from stages.lab.upstream.script import Cut, InBandError, Refusal, Role, Script, Token

SECRET = "hunter2-51d0"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench("s02_json_safe") as bench:
        yield bench


@pytest.fixture(scope="module")
def answer(bench: Bench) -> Answer:
    return asyncio.run(bench.ask(Script.answer("Hello", "", " w\u00f6rld\n")))


@pytest.fixture(scope="module")
def failure(bench: Bench) -> Answer:
    return asyncio.run(bench.ask(Script((Role(), Token("Hello"), InBandError(SECRET)))))


def documents(answer: Answer, kind: str) -> list[Any]:
    return [json.loads(event.data) for event in answer.client.events if event.type == kind]


def refused(bench: Bench, refusal: Refusal) -> Answer:
    return asyncio.run(bench.ask(Script(refusal=refusal)))


def test_each_token_is_one_json_document_with_an_index(answer: Answer) -> None:
    assert documents(answer, "token") == [
        {"index": 0, "text": "Hello"},
        {"index": 1, "text": " w\u00f6rld\n"},
    ]


def test_the_last_event_says_why_the_model_stopped_and_what_it_used(answer: Answer) -> None:
    (done,) = documents(answer, "done")

    assert done["finish_reason"] == "stop"
    assert done["usage"]["completion_tokens"] == 3


def test_only_ascii_goes_over_the_wire(answer: Answer) -> None:
    assert bytes(answer.client.body).isascii()


def test_the_answer_must_not_be_stored_or_buffered_on_the_way(answer: Answer) -> None:
    assert answer.client.headers["cache-control"] == "no-store"
    assert answer.client.headers["x-accel-buffering"] == "no"


def test_an_answer_without_text_is_done_at_once(bench: Bench) -> None:
    answer = asyncio.run(bench.ask(Script.answer()))

    assert answer.told.kinds == ("done",)


def test_an_error_has_a_code_a_message_of_ours_and_a_request_id(failure: Answer) -> None:
    (error,) = documents(failure, "error")

    assert error.keys() == {"code", "message", "request_id"}
    assert error["code"] == "upstream_failed"
    assert error["message"] == "The answer broke off."


def test_the_log_has_the_detail_under_the_request_id(bench: Bench, failure: Answer) -> None:
    (error,) = documents(failure, "error")

    assert f"request {error['request_id']}: upstream_failed" in bench.server.log
    assert SECRET in bench.server.log


def test_a_failure_before_the_first_token_is_told_as_an_event_too(bench: Bench) -> None:
    answer = asyncio.run(bench.ask(Script((Role(), Cut()))))

    assert answer.told.kinds == ("error",)
    assert answer.client.ended == "clean"


def test_a_refusal_is_told_in_json_with_a_message_of_ours(bench: Bench) -> None:
    answer = refused(bench, Refusal(500, SECRET))

    body = json.loads(bytes(answer.client.body))
    assert answer.client.status == 502
    assert body["code"] == "upstream_refused"
    assert body["message"] == "The model cannot be asked."


def test_a_busy_upstream_says_when_to_come_back(bench: Bench) -> None:
    answer = refused(bench, Refusal(429, headers=(("retry-after", "7"),)))

    assert answer.client.status == 429
    assert answer.client.headers["retry-after"] == "7"


def test_a_busy_upstream_that_says_no_time_is_passed_on_without_one(bench: Bench) -> None:
    answer = refused(bench, Refusal(429))

    assert answer.client.status == 429
    assert "retry-after" not in answer.client.headers


def test_a_refused_request_is_not_retried_behind_the_clients_back(bench: Bench) -> None:
    async def ask_and_count() -> int:
        prompt = await bench.register(Script(refusal=Refusal(500)))
        async with bench.client(prompt) as client:
            await client.read(deadline_s=10)
        return len(await bench.entries(prompt))

    assert asyncio.run(ask_and_count()) == 1


def test_a_bad_request_is_told_what_is_wrong_and_where(bench: Bench) -> None:
    async def ask() -> dict[str, str]:
        body = b'{"messages": [{"role": "wizard", "content": "hi"}]}'
        async with bench.client_with(body) as client:
            await client.read(deadline_s=10)
        document: dict[str, str] = json.loads(bytes(client.body))
        return document

    told = asyncio.run(ask())

    assert told["code"] == "bad_request"
    assert told["message"].startswith("body.messages.0.role: Input should be 'system'")


def test_a_bad_request_does_not_come_back_in_the_message(bench: Bench) -> None:
    async def ask() -> bytes:
        body = json.dumps({"messages": [{"role": SECRET, "content": SECRET}]}).encode()
        async with bench.client_with(body) as client:
            await client.read(deadline_s=10)
        return bytes(client.wire)

    assert SECRET.encode() not in asyncio.run(ask())


def test_the_upstream_is_asked_for_usage(answer: Answer) -> None:
    assert answer.entry is not None
    assert answer.entry.asked["stream_options"] == {"include_usage": True}
