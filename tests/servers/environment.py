"""Answers with the part of its environment that the lab sets."""

import json
import os

from starlette.types import Receive, Scope, Send

NAMES = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "PING_S")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    body = json.dumps({name: os.environ.get(name) for name in NAMES}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
