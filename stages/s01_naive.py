"""It streams, and it works in the demo.

New since s00: FastAPI, StreamingResponse, AsyncOpenAI and an f-string.
Run: uvicorn stages.s01_naive:app
Still wrong: a line feed in a token breaks the text, and no failure is ever told.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

MODEL = os.environ.get("CHAT_MODEL", "gpt-6-luna")

app = FastAPI()
client = AsyncOpenAI()


async def events(messages: Any) -> AsyncIterator[str]:
    stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    async for chunk in stream:
        yield f"data: {chunk.choices[0].delta.content or ''}\n\n"
    yield "data: [DONE]\n\n"


@app.post("/chat")
async def chat(request: Request) -> StreamingResponse:
    body = await request.json()
    return StreamingResponse(events(body["messages"]), media_type="text/event-stream")
