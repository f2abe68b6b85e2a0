"""Reads on behind the back of a client that reads nothing, and slowly: 0.4 MB a second."""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

URL = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
QUICK = 10  # lines that are read as fast as they come

app = FastAPI()


async def read(asked: dict[str, object], lines: asyncio.Queue[str | None]) -> None:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as http,
        http.stream("POST", URL, json={**asked, "model": "m", "stream": True}) as answer,
    ):
        count = 0
        async for line in answer.aiter_lines():
            lines.put_nowait(line)
            count += 1
            if count > QUICK:
                await asyncio.sleep(0.01)
    lines.put_nowait(None)


async def passed_on(asked: dict[str, object]) -> AsyncIterator[str]:
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    reading = asyncio.create_task(read(asked, lines))
    while (line := await lines.get()) is not None:
        yield f"{line}\n"
    await reading


@app.post("/chat")
async def chat(request: Request) -> StreamingResponse:
    return StreamingResponse(passed_on(await request.json()), media_type="text/event-stream")
