"""Wrong turn: a semaphore around the handler, which returns before the stream begins.

Instead of s04: the slot comes back when the handler returns.
Run: uvicorn stages.wrong_turns.s04_semaphore_in_handler:app
Seen in: guides to limiting the concurrency of an endpoint.
"""

import json
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from openai import APIError, APITimeoutError, AsyncOpenAI, AsyncStream, RateLimitError
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse
from starlette import types

MODEL = os.environ.get("CHAT_MODEL", "gpt-6-luna")
PING_S = float(os.environ.get("PING_S", "15"))  # many proxies cut what is silent for 60 s
SEND_TIMEOUT_S = float(os.environ.get("SEND_TIMEOUT_S", "30"))  # a lift is shorter
UPSTREAM_IDLE_S = float(os.environ.get("UPSTREAM_IDLE_S", "60"))  # a model thinks, but not for ever
MAX_STREAMS = int(os.environ.get("MAX_STREAMS", "100"))  # what the provider's rate limit allows
BACKLOG_CHARS = 65_536  # a long answer; escaped, a character is up to 12 bytes

app = FastAPI()
# Whoever is refused decides when to ask again. The timeout is one read's, not the answer's.
client = AsyncOpenAI(max_retries=0, timeout=UPSTREAM_IDLE_S)
slots = anyio.Semaphore(MAX_STREAMS)
log = logging.getLogger("stages")
log.setLevel(logging.INFO)
log.addHandler(logging.StreamHandler())


Stream = AsyncStream[ChatCompletionChunk]


class Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, max_length=100_000)


class ChatRequest(BaseModel):
    messages: list[Message] = Field(min_length=1, max_length=100)


@dataclass
class Record:
    outcome: str = "client_closed"  # what is left when no other end is reached
    events: int = 0
    start_s: float = field(default_factory=time.monotonic)
    finish_reason: str | None = None
    usage: CompletionUsage | None = None
    failure: Exception | None = None


@dataclass
class Backlog:
    text: str = ""
    ended: bool = False
    changed: anyio.Condition = field(default_factory=anyio.Condition)

    async def put(self, text: str) -> None:
        async with self.changed:
            while len(self.text) >= BACKLOG_CHARS:
                await self.changed.wait()
            self.text += text
            self.changed.notify()

    async def end(self) -> None:
        async with self.changed:
            self.ended = True
            self.changed.notify()

    async def take(self) -> str:
        async with self.changed:
            while not (self.text or self.ended):
                await self.changed.wait()
            text, self.text = self.text, ""
            self.changed.notify()
        return text


def event(name: str, **document: Any) -> dict[str, str]:
    return {"event": name, "data": json.dumps(document)}  # ASCII: no line end, no lone surrogate


def problem(code: str, message: str, exc: Exception | None = None) -> dict[str, str]:
    request_id = uuid.uuid4().hex
    if exc is not None:
        log.warning("request %s: %s", request_id, code, exc_info=exc)
    return {"code": code, "message": message, "request_id": request_id}


@app.exception_handler(RequestValidationError)
async def bad_request(request: Request, exc: RequestValidationError) -> JSONResponse:
    first = exc.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return JSONResponse(problem("bad_request", f"{where}: {first['msg']}"), 422)


@app.exception_handler(APIError)
async def upstream_refused(request: Request, exc: APIError) -> JSONResponse:
    if isinstance(exc, RateLimitError):
        after = exc.response.headers.get("retry-after")
        body = problem("upstream_busy", "The model is busy. Try again later.", exc)
        return JSONResponse(body, 429, headers={"Retry-After": after} if after else None)
    if isinstance(exc, APITimeoutError):
        return JSONResponse(problem("upstream_silent", "The model does not answer.", exc), 504)
    return JSONResponse(problem("upstream_refused", "The model cannot be asked.", exc), 502)


@app.exception_handler(anyio.WouldBlock)
async def all_slots_taken(request: Request, exc: anyio.WouldBlock) -> JSONResponse:
    body = problem("too_many_streams", "Too many answers at once. Try again later.")
    return JSONResponse(body, 503, headers={"Retry-After": "1"})


async def ask(body: ChatRequest, request: Request) -> Stream:
    answer: Stream | Exception = HTTPException(499, "the client has left")
    async with anyio.create_task_group() as race:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            race.cancel_scope.cancel()

        race.start_soon(watch)
        try:
            answer = await client.chat.completions.create(
                model=MODEL,
                messages=body.model_dump()["messages"],
                stream=True,
                stream_options={"include_usage": True},
            )
        except APIError as exc:  # raised in here, it would come out in an ExceptionGroup
            answer = exc
        race.cancel_scope.cancel()
    if isinstance(answer, Exception):
        raise answer
    return answer


async def opened(body: ChatRequest, request: Request) -> AsyncIterator[tuple[Backlog, Record]]:
    record, backlog = Record(), Backlog()
    try:
        async with await ask(body, request) as stream, anyio.create_task_group() as reader:
            reader.start_soon(read, stream, backlog, record)
            yield backlog, record
            reader.cancel_scope.cancel()
    except APIError:
        record.outcome = "upstream_failed"
        raise
    finally:
        seconds = time.monotonic() - record.start_s
        log.info("outcome=%s events=%d duration_s=%.3f", record.outcome, record.events, seconds)


async def read(stream: Stream, backlog: Backlog, record: Record) -> None:
    try:
        async for chunk in stream:
            record.usage = chunk.usage or record.usage
            for choice in chunk.choices:  # empty in a usage chunk
                record.finish_reason = choice.finish_reason or record.finish_reason
                if choice.delta.content:
                    await backlog.put(choice.delta.content)
        if record.finish_reason is None:
            raise EOFError("the upstream ended without a finish_reason")
    except Exception as exc:
        record.failure = exc
    await backlog.end()


async def events(backlog: Backlog, record: Record) -> AsyncIterator[dict[str, str]]:
    while text := await backlog.take():
        yield event("token", index=record.events, text=text)
        record.events += 1
    if record.failure is not None:
        record.outcome = "upstream_failed"
        yield event("error", **problem("upstream_failed", "The answer broke off.", record.failure))
    else:
        usage = record.usage and record.usage.model_dump()
        yield event("done", finish_reason=record.finish_reason, usage=usage)
        record.outcome = "completed"


class TimedResponse(EventSourceResponse):
    def __init__(self, backlog: Backlog, record: Record) -> None:
        super().__init__(events(backlog, record), ping=PING_S)
        self.record = record

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        async def timed(message: types.Message) -> None:  # `send_timeout` leaves the last one out
            with anyio.fail_after(SEND_TIMEOUT_S):
                await send(message)

        try:
            await super().__call__(scope, receive, timed)
        except TimeoutError:
            self.record.outcome = "client_stalled"


@app.post("/chat")
async def chat(held: Annotated[tuple[Backlog, Record], Depends(opened)]) -> EventSourceResponse:
    slots.acquire_nowait()
    try:
        return TimedResponse(*held)
    finally:
        slots.release()
