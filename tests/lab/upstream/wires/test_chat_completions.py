"""The scripted upstream speaks like a provider: the official client understands every step."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from stages.lab.doctor.model import DEFAULT_MODEL
from stages.lab.upstream.script import (
    Cut,
    Done,
    Empty,
    Finish,
    Firehose,
    InBandError,
    Pause,
    Raw,
    Refusal,
    Role,
    Script,
    Step,
    Token,
    ToolCall,
    Usage,
)
from stages.lab.upstream.wires.chat_completions import PARAGRAPHS, Wire, plain_script
from tests.helpers.upstream import Desk

SENTINEL = "hunter2-5f0c"  # stands for what a provider says about itself and no client should see


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as desk:
        yield desk


def sdk(desk: Desk) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{desk.url}/v1", api_key="sk-scripted", max_retries=0)


async def chunks_and_error(
    desk: Desk, script: Script, **options: Any
) -> tuple[list[ChatCompletionChunk], Exception | None]:
    """Return all chunks of a stream, and what was raised while it was read."""
    prompt = desk.register(script)
    got: list[ChatCompletionChunk] = []
    async with sdk(desk) as client:
        stream = await client.chat.completions.create(
            model=DEFAULT_MODEL,
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            **options,
        )
        async with stream:
            try:
                async for chunk in stream:
                    got.append(chunk)  # noqa: PERF401  # what had come before an error is kept
            except Exception as exc:
                return got, exc
    return got, None


def stream(desk: Desk, *steps: Step, **options: Any) -> list[ChatCompletionChunk]:
    got, error = asyncio.run(chunks_and_error(desk, Script(steps), **options))
    assert error is None, error
    return got


def fails(desk: Desk, *steps: Step) -> tuple[list[str | None], Exception]:
    """Return the texts that came, and the error that came after them."""
    got, error = asyncio.run(chunks_and_error(desk, Script(steps)))
    assert error is not None
    return texts(got), error


def texts(chunks: list[ChatCompletionChunk]) -> list[str | None]:
    return [chunk.choices[0].delta.content for chunk in chunks]


async def whole(desk: Desk, script: Script) -> ChatCompletion:
    prompt = desk.register(script)
    async with sdk(desk) as client:
        return await client.chat.completions.create(
            model=DEFAULT_MODEL, messages=[{"role": "user", "content": prompt}]
        )


def refusal(desk: Desk, refusal: Refusal) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as raised:
        asyncio.run(chunks_and_error(desk, Script(refusal=refusal)))
    return raised.value


# An answer.


def test_a_complete_answer_has_a_role_its_text_and_a_reason(desk: Desk) -> None:
    role, *tokens, finish = stream(desk, *Script.answer("Hello", " world").steps)

    assert role.choices[0].delta.role == "assistant"
    assert texts(tokens) == ["Hello", " world"]
    assert finish.choices[0].finish_reason == "stop"


def test_all_chunks_of_an_answer_have_one_id_and_the_model_that_was_asked_for(desk: Desk) -> None:
    chunks = stream(desk, *Script.answer("a", "b").steps)

    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {DEFAULT_MODEL}


def test_every_document_names_its_kind(desk: Desk) -> None:
    chunks = stream(desk, Empty(), *Script.answer("a").steps, Usage(1, 2))

    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize(
    "parts",
    [
        ("a\ud83d", "\ude00b"),
        ("\n", "\r\n", "\r", "\u2028", "\x85", "\x00"),
        ("", "data: x", "[DONE]", '"', "\\", "TEXT", '"TEXT"'),
    ],
    ids=["a surrogate pair in two chunks", "line ends", "marks"],
)
def test_every_text_arrives_as_it_was_written(desk: Desk, parts: tuple[str, ...]) -> None:
    chunks = stream(desk, *map(Token, parts), Done())

    assert texts(chunks) == list(parts)


def test_an_answer_can_end_without_a_reason_and_without_done(desk: Desk) -> None:
    """The client takes it for success: that is the trap."""
    chunks = stream(desk, Token("Hello"))

    assert [(chunk.choices[0].finish_reason) for chunk in chunks] == [None]


def test_the_reason_of_the_end_is_that_of_the_script(desk: Desk) -> None:
    (chunk,) = stream(desk, Finish("length"))

    assert chunk.choices[0].finish_reason == "length"


def test_a_client_stops_reading_at_done(desk: Desk) -> None:
    assert texts(stream(desk, Token("a"), Done(), Token("b"))) == ["a"]


def test_a_chunk_can_have_no_choices(desk: Desk) -> None:
    (chunk,) = stream(desk, Empty())

    assert (chunk.choices, chunk.usage) == ([], None)


def test_the_deltas_of_a_tool_call_arrive_in_parts(desk: Desk) -> None:
    chunks = stream(
        desk, ToolCall(0, "", id="call_1", name="look_up"), ToolCall(0, '{"ci'), ToolCall(0, 'ty"}')
    )

    deltas = [chunk.choices[0].delta.tool_calls for chunk in chunks]
    calls = [delta[0] for delta in deltas if delta is not None]
    assert [(call.index, call.id, call.type) for call in calls] == [
        (0, "call_1", "function"),
        (0, None, None),
        (0, None, None),
    ]
    functions = [call.function for call in calls if call.function is not None]
    assert [(function.name, function.arguments) for function in functions] == [
        ("look_up", ""),
        (None, '{"ci'),
        (None, 'ty"}'),
    ]


# Usage.


def test_usage_stands_in_a_chunk_without_choices(desk: Desk) -> None:
    (chunk,) = stream(desk, Usage(11, 13))

    assert chunk.choices == []
    assert chunk.usage is not None
    assert (chunk.usage.prompt_tokens, chunk.usage.completion_tokens) == (11, 13)
    assert chunk.usage.total_tokens == 24


ON_REQUEST = Usage(11, 13, only_if_asked=True)


def test_usage_on_request_is_sent_when_it_is_asked_for(desk: Desk) -> None:
    (chunk,) = stream(desk, ON_REQUEST, stream_options={"include_usage": True})

    assert chunk.usage is not None


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": None}]
)
def test_usage_on_request_is_not_sent_otherwise(desk: Desk, options: dict[str, Any]) -> None:
    assert stream(desk, ON_REQUEST, **options) == []


# Failures.

REFUSALS = [
    (401, openai.AuthenticationError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
def test_a_refusal_is_the_error_that_the_client_has_for_it(
    desk: Desk, status: int, kind: type[Exception]
) -> None:
    error = refusal(desk, Refusal(status))

    assert type(error) is kind
    assert error.status_code == status


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
def test_a_refusal_says_what_the_script_says(
    desk: Desk, status: int, kind: type[Exception]
) -> None:
    error = refusal(desk, Refusal(status, f"The key {SENTINEL} is wrong.", "invalid_api_key"))

    assert error.body == {
        "message": f"The key {SENTINEL} is wrong.",
        "type": "invalid_api_key",
        "param": None,
        "code": "invalid_api_key",
    }


def test_a_refusal_can_say_when_to_come_again(desk: Desk) -> None:
    error = refusal(desk, Refusal(429, headers=(("Retry-After", "7"),)))

    assert error.response.headers["retry-after"] == "7"


def test_an_error_in_the_stream_comes_after_the_text_and_says_what_the_script_says(
    desk: Desk,
) -> None:
    got, error = fails(desk, Token("Hello"), InBandError(f"at /srv/{SENTINEL}", "overloaded"))

    assert got == ["Hello"]
    assert isinstance(error, openai.APIError)
    assert error.message == f"at /srv/{SENTINEL}"
    assert error.code == "overloaded"


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("where", ["between chunks", "mid chunk"])
def test_a_cut_is_an_error_after_the_text(desk: Desk, where: Any, reset: bool) -> None:
    got, error = fails(desk, Token("Hello"), Cut(where, reset))

    assert got == ["Hello"]
    assert type(error) is openai.APIConnectionError


def test_a_malformed_line_is_an_error_after_the_text(desk: Desk) -> None:
    got, error = fails(desk, Token("Hello"), Raw('data: {"id": \n\n'))

    assert got == ["Hello"]
    assert isinstance(error, json.JSONDecodeError)


# A request without `stream`.


def test_without_stream_the_same_text_comes_in_one_document(desk: Desk) -> None:
    answer = asyncio.run(whole(desk, Script.answer("Hello", " world")))

    assert answer.choices[0].message.content == "Hello world"
    assert answer.choices[0].finish_reason == "stop"


def test_without_stream_the_usage_always_comes(desk: Desk) -> None:
    answer = asyncio.run(whole(desk, Script.answer("Hello", " world")))

    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 2)


def test_without_stream_tokens_are_counted_where_the_script_says_no_usage(desk: Desk) -> None:
    answer = asyncio.run(whole(desk, Script((Role(), Token("a"), Token("b"), Token("c")))))

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_without_stream_nothing_of_the_course_of_a_stream_is_played(desk: Desk) -> None:
    answer = asyncio.run(whole(desk, Script((Token("a", 60), Pause(60), Cut(), Token("b")))))

    assert answer.choices[0].message.content == "ab"


def test_without_stream_a_refusal_is_the_same(desk: Desk) -> None:
    with pytest.raises(openai.RateLimitError):
        asyncio.run(whole(desk, Script(refusal=Refusal(429))))


# The words.


def test_a_prompt_without_a_script_gets_one_of_the_paragraphs() -> None:
    answers = {plain_script("x" * length).text for length in range(10)}

    assert answers == set(PARAGRAPHS)


def test_a_prompt_without_a_script_gets_a_complete_answer() -> None:
    script = plain_script("hello")

    assert Finish() in script.steps
    assert script.steps[-1] == Done()


@pytest.mark.parametrize("step", [Pause(1), Firehose(), Cut()])
def test_a_step_that_sends_no_chunk_has_no_bytes(step: Step) -> None:
    with pytest.raises(TypeError, match=r"^(Pause|Firehose|Cut)\(.*\) sends no chunk$"):
        Wire("chatcmpl-0", "m").chunk(step)


def test_a_text_takes_its_own_place_only() -> None:
    wire = Wire("TEXT", "TEXT")  # what stands in the pattern of a chunk before it has a text

    document = json.loads(wire.content("Hello").removeprefix(b"data: "))

    assert (document["id"], document["model"]) == ("TEXT", "TEXT")
    assert document["choices"][0]["delta"] == {"content": "Hello"}
