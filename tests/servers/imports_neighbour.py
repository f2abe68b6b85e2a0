"""Imports its neighbour, has a dataclass whose field's type is text, and an app in a class."""

from __future__ import annotations

from dataclasses import dataclass

from neighbour import WORD  # type: ignore[import-not-found]  # found as uvicorn finds it
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


@dataclass
class Answer:
    word: str


def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(Answer(WORD).word)


class server:
    inner = Starlette(routes=[Route("/", answer)])
