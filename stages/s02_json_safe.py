"""Text and failure both arrive as data.

New since s01: one JSON document an event; a refusal is a status, a failure is an event.
Run: uvicorn stages.s02_json_safe:app
Still wrong: a client that leaves before the upstream's headers come is not noticed.
"""

import json
import logging
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from openai import APIError, AsyncOpenAI, AsyncStream, RateLimitError
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse

MODEL = os.environ.get("CHAT_MODEL", "gpt-6-luna")
PING_S = float(os.environ.get("PING_S", "15"))  # many proxies cut what is silent for 60 s

app = FastAPI()
client = AsyncOpenAI(max_retries=0)  # whoever is refused decides when to ask again
log = logging.getLogger("stages")


class Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, max_length=100_000)


class ChatRequest(BaseModel):
    messages: list[Message] = Field(min_length=1, max_length=100)


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
    return JSONResponse(problem("upstream_refused", "The model cannot be asked.", exc), 502)


async def events(stream: AsyncStream[ChatCompletionChunk]) -> AsyncIterator[dict[str, str]]:
    index = 0
    finish_reason: str | None = None
    usage: CompletionUsage | None = None
    try:
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:  # empty in a usage chunk
                finish_reason = choice.finish_reason or finish_reason
                if choice.delta.content:
                    yield event("token", index=index, text=choice.delta.content)
                    index += 1
        if finish_reason is None:
            raise EOFError("the upstream ended without a finish_reason")
    except Exception as exc:
        yield event("error", **problem("upstream_failed", "The answer broke off.", exc))
    else:
        yield event("done", finish_reason=finish_reason, usage=usage and usage.model_dump())


@app.post("/chat")
async def chat(body: ChatRequest) -> EventSourceResponse:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=body.model_dump()["messages"],
        stream=True,
        stream_options={"include_usage": True},
    )
    return EventSourceResponse(events(stream), ping=PING_S)
