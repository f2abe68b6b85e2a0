"""The transports app: the same tokens in four ways, and what a client can know of each.

These are the facts that the first notebook prints.
"""

import asyncio
from collections.abc import Iterator

import pytest

from stages.lab.experiments.transports import LONG_TOKEN, TOKENS, WAYS, Course, app_process, receive


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with app_process() as process:
        yield process.url


STREAMED = [way for way in WAYS if way != "one document"]


@pytest.mark.parametrize("way", STREAMED)
def test_the_tokens_come_one_by_one(url: str, way: str) -> None:
    got = asyncio.run(receive(url, way, "complete"))

    times = [at_s for at_s, _ in got.pieces]
    assert tuple(text for _, text in got.pieces) == TOKENS
    assert times[-1] - times[0] > 0.5  # sent over 0.7 s; all at once would be 0


def test_one_document_comes_when_all_is_said(url: str) -> None:
    got = asyncio.run(receive(url, "one document", "complete"))

    ((at_s, _),) = got.pieces
    assert at_s > 0.7  # the last token is ready after 0.8 s


@pytest.mark.parametrize(
    ("way", "course", "end"),
    [
        ("one document", "complete", "the end"),
        ("one document", "stops early", "the end"),
        ("one document", "fails", "status 500"),
        ("chunked text", "complete", "the end"),
        ("chunked text", "stops early", "the end"),
        ("chunked text", "fails", "connection cut"),
        ("SSE", "complete", "done"),
        ("SSE", "stops early", "the end, without done"),
        ("SSE", "fails", "error"),
        ("WebSocket", "complete", "done"),
        ("WebSocket", "stops early", "connection closed, without done"),
        ("WebSocket", "fails", "error"),
    ],
)
def test_what_the_client_knows_of_the_end(url: str, way: str, course: Course, end: str) -> None:
    got = asyncio.run(receive(url, way, course))

    assert got.end == end


@pytest.mark.parametrize(
    ("way", "whole"), [("chunked text", False), ("SSE", True), ("WebSocket", True)]
)
def test_only_a_format_keeps_a_long_token_in_one_piece(url: str, way: str, whole: bool) -> None:
    got = asyncio.run(receive(url, way, "one long token"))

    assert "".join(text for _, text in got.pieces).endswith(LONG_TOKEN)
    assert (len(got.pieces) == 1) is whole
