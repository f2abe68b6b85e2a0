"""Wrong turn: an HTTP middleware measures the time and counts who is there.

Instead of s06: a stopwatch around the handler, which returns before the stream begins.
Run: uvicorn stages.wrong_turns.s06_middleware_timer:app --timeout-graceful-shutdown 3
Seen in: metrics middleware for web frameworks.
"""

import asyncio
import json
import logging
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal

import anyio
import sqlalchemy as sa
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from openai import APIError, APITimeoutError, AsyncOpenAI, AsyncStream, RateLimitError
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sse_starlette import EventSourceResponse
from starlette import types
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.base import RequestResponseEndpoint

MODEL = os.environ.get("CHAT_MODEL", "gpt-6-luna")
PING_S = float(os.environ.get("PING_S", "15"))  # many proxies cut what is silent for 60 s
SEND_TIMEOUT_S = float(os.environ.get("SEND_TIMEOUT_S", "30"))  # a lift is shorter
UPSTREAM_IDLE_S = float(os.environ.get("UPSTREAM_IDLE_S", "60"))  # a model thinks, but not for ever
MAX_STREAMS = int(os.environ.get("MAX_STREAMS", "100"))  # what the provider's rate limit allows
WRITE_S = float(os.environ.get("WRITE_S", "5"))  # a row is worth a moment, and not a stream
DRAIN_S = 3.0  # with the 3 s above, less than the 10 s that most supervisors wait before SIGKILL
PROGRESS_S = float(os.environ.get("PROGRESS_S", "5"))  # a long stream is seen to be alive
FAREWELL_S = 1.0  # for the last event, to a client that reads
DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///usage.sqlite3")
BACKLOG_CHARS = 65_536  # a long answer; escaped, a character is up to 12 bytes

request_id: ContextVar[str] = ContextVar("request_id")

# Names and buckets: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
STREAMS = Counter("gen_ai_server_streams", "Streams by outcome", ["outcome"])
PROBLEMS = Counter("gen_ai_server_problems", "What clients were told of failures", ["code"])
TOKENS = Counter("gen_ai_client_token_usage", "Tokens", ["gen_ai_token_type", "source"])
IN_FLIGHT = Gauge("gen_ai_server_streams_in_flight", "Slots taken", multiprocess_mode="livesum")
DURATION_S = Histogram(
    "gen_ai_server_request_duration_seconds",
    "From the acceptance of a request to the end of its stream",
    ["outcome"],
    buckets=[0.01 * 2**i for i in range(14)],
)
FIRST_TOKEN_S = Histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "From the acceptance of a request to the first text at the client's socket",
    buckets=[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
)
PER_TOKEN_S = Histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Between two tokens after the first, the mean of a stream",
    buckets=[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
)
registry = REGISTRY
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # several workers, and one answers for all
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]


class RequestId:
    def __init__(self, app: types.ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        async def tagged(message: types.Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id.get()
            await send(message)

        if scope["type"] == "http":
            given = Headers(scope=scope).get("x-request-id", "")
            named = re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII)
            # A client that tries again sends the same id again, and each stream has a row.
            request_id.set(f"{given}.{uuid.uuid4().hex[:8]}" if named else uuid.uuid4().hex)
        await self.app(scope, receive, tagged)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await write(sa.schema.CreateTable(rows, if_not_exists=True))
    yield
    with anyio.move_on_after(DRAIN_S):
        for _ in range(MAX_STREAMS):  # a slot comes back when its row is final
            await slots.acquire()


app = FastAPI(lifespan=lifespan)
app.add_middleware(RequestId)
# Whoever is refused decides when to ask again. The timeout is one read's, not the answer's.
client = AsyncOpenAI(max_retries=0, timeout=UPSTREAM_IDLE_S)
slots = anyio.Semaphore(MAX_STREAMS)
log = logging.getLogger("stages")
log.setLevel(logging.INFO)
log.addHandler(logging.StreamHandler())


Stream = AsyncStream[ChatCompletionChunk]

rows = sa.Table(
    "usage",
    sa.MetaData(),
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("model", sa.String(100), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("prompt_tokens", sa.Integer),
    sa.Column("completion_tokens", sa.Integer),
    sa.Column("source", sa.String(8)),  # who counted: provider, or counted by us
)


@cache
def engine() -> AsyncEngine:
    return create_async_engine(DATABASE_URL, pool_size=5, max_overflow=0)


async def write(statement: sa.Executable) -> None:
    try:
        with anyio.fail_after(WRITE_S):
            async with engine().begin() as connection:
                await connection.execute(statement)
    except Exception as exc:  # whatever ails the database costs a row and never a stream
        log.error("usage is not recorded: %r", exc)


async def shielded(work: Awaitable[None]) -> None:
    job = asyncio.ensure_future(work)  # a task of its own: whoever cancels us does not reach it
    with anyio.CancelScope(shield=True):  # in a scope that is cancelled, no wait would last
        try:
            await asyncio.wait({job})
        except asyncio.CancelledError:  # by task.cancel(), as uvicorn does it: no scope holds that
            await shielded(job)
            raise


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
    tokens: int = 0  # a delta is a token, near enough, where the provider does not say
    id: str = field(default_factory=request_id.get)
    first_s: float = 0.0
    last_s: float = 0.0
    going_down: anyio.Event = field(default_factory=anyio.Event)

    async def admit(self) -> None:
        row = {"model": MODEL, "status": "streaming", "started_at": datetime.now(UTC)}
        await shielded(write(sa.insert(rows).values(id=self.id, **row)))

    def sent(self) -> None:
        self.events += 1
        self.last_s = time.monotonic()
        if self.events == 1:
            self.first_s = self.last_s

    def count(self) -> None:
        STREAMS.labels(self.outcome).inc()
        DURATION_S.labels(self.outcome).observe(time.monotonic() - self.start_s)
        if self.events > 1:  # what came at once, or never went out, has no time between
            PER_TOKEN_S.observe((self.last_s - self.first_s) / (self.tokens - 1))
        if self.usage is not None:
            TOKENS.labels("input", "provider").inc(self.usage.prompt_tokens)
            TOKENS.labels("output", "provider").inc(self.usage.completion_tokens)
        else:
            TOKENS.labels("output", "counted").inc(self.tokens)

    async def finish(self) -> None:
        row = {"status": self.outcome, "ended_at": datetime.now(UTC), "source": "counted"}
        row["completion_tokens"] = self.tokens
        if self.usage is not None:
            row["source"] = "provider"
            row["prompt_tokens"] = self.usage.prompt_tokens
            row["completion_tokens"] = self.usage.completion_tokens
        await shielded(write(sa.update(rows).where(rows.c.id == self.id).values(row)))


@dataclass
class Backlog:
    text: str = ""
    ended: bool = False
    changed: anyio.Condition = field(default_factory=anyio.Condition)

    async def put(self, text: str) -> None:
        async with self.changed:
            while len(self.text) >= BACKLOG_CHARS:
                await self.changed.wait()
            if not self.ended:  # the server stops before the upstream does
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


def note(what: str, **facts: object) -> None:
    told = " ".join(f"{name}={fact}" for name, fact in facts.items())
    log.info("%s %s request_id=%s", what, told, request_id.get())


def problem(code: str, message: str, exc: Exception | None = None) -> dict[str, str]:
    PROBLEMS.labels(code).inc()
    if exc is not None:  # not what it says: a provider may quote the prompt
        kinds = {"error": type(exc).__name__, "cause": type(exc.__cause__).__name__}
        note("problem", code=code, **kinds, status=getattr(exc, "status_code", None))
    return {"code": code, "message": message, "request_id": request_id.get()}


@app.middleware("http")
async def measured(request: Request, call_next: RequestResponseEndpoint) -> Response:
    if request.url.path != "/chat":
        return await call_next(request)
    start_s = time.monotonic()
    IN_FLIGHT.inc()
    try:
        return await call_next(request)
    finally:
        FIRST_TOKEN_S.observe(time.monotonic() - start_s)
        IN_FLIGHT.dec()


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
    slots.acquire_nowait()
    record, backlog = Record(), Backlog()
    try:
        note("admitted", model=MODEL, messages=len(body.messages))
        await record.admit()
        async with await ask(body, request) as stream, anyio.create_task_group() as reader:
            reader.start_soon(read, stream, backlog, record)
            reader.start_soon(stop, backlog, record)
            reader.start_soon(report, record)
            yield backlog, record
            reader.cancel_scope.cancel()
    except APIError:
        record.outcome = "upstream_failed"
        raise
    except asyncio.CancelledError:  # a client's leave ends in the response; this is the server's
        record.outcome = "server_stopped"
        raise
    finally:
        seconds = f"{time.monotonic() - record.start_s:.3f}"
        note("ended", outcome=record.outcome, events=record.events, duration_s=seconds)
        try:
            record.count()
            await record.finish()
        finally:
            slots.release()


async def read(stream: Stream, backlog: Backlog, record: Record) -> None:
    try:
        async for chunk in stream:
            record.usage = chunk.usage or record.usage
            for choice in chunk.choices:  # empty in a usage chunk
                record.finish_reason = choice.finish_reason or record.finish_reason
                if choice.delta.content:
                    record.tokens += 1
                    await backlog.put(choice.delta.content)
        if record.finish_reason is None:
            raise EOFError("the upstream ended without a finish_reason")
    except Exception as exc:
        record.failure = exc
    await backlog.end()


async def stop(backlog: Backlog, record: Record) -> None:
    await record.going_down.wait()
    record.outcome, record.failure = "server_stopped", InterruptedError("the server stops")
    await backlog.end()


async def report(record: Record) -> None:
    while True:
        await anyio.sleep(PROGRESS_S)
        note("streaming", events=record.events, tokens=record.tokens)


async def events(backlog: Backlog, record: Record) -> AsyncIterator[dict[str, str]]:
    while text := await backlog.take():
        yield event("token", index=record.events, text=text)
        record.sent()
    if record.failure is not None:
        if not record.going_down.is_set():
            record.outcome = "upstream_failed"
        yield event("error", **problem(record.outcome, "The answer broke off.", record.failure))
    else:
        usage = record.usage and record.usage.model_dump()
        yield event("done", finish_reason=record.finish_reason, usage=usage)
        record.outcome = "completed"


class TimedResponse(EventSourceResponse):
    def __init__(self, backlog: Backlog, record: Record) -> None:
        super().__init__(
            events(backlog, record),
            ping=PING_S,
            shutdown_event=record.going_down,
            shutdown_grace_period=FAREWELL_S,
        )
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
    return TimedResponse(*held)


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
