"""Refusals: a status and a JSON body, and what is missing is named."""

import pytest

from stages.lab.bench.refusals import not_status
from stages.lab.clients.client import Client

GOOD = b'{"code": "a", "message": "b", "request_id": "c"}'


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (503, GOOD, None),
        (200, GOOD, "status 200 instead of 503"),
        (None, b"", "status None instead of 503"),
        (503, b"busy", "status 503, but the body is not a JSON object"),
        (503, b"7", "status 503, but the body is not a JSON object"),
        (503, b'{"code": "a"}', "the body has no message, request_id"),
    ],
)
def test_a_refusal_is_judged_by_its_status_and_its_body(
    status: int | None, body: bytes, complaint: str | None
) -> None:
    client = Client("http://127.0.0.1:1/chat", b"")
    client.status, client.body = status, bytearray(body)

    assert not_status(client, 503) == complaint
