"""Our solutions to the short exercises of s02."""

import json
from typing import Any

from openai import APIError, APITimeoutError, RateLimitError


def encode(event: str, document: Any) -> bytes:
    """The bytes of one event with this name and this document."""
    if not event or "\r" in event or "\n" in event:
        raise ValueError(f"This cannot be the name of an event: {event!r}")
    # ASCII as json.dumps comes: no line end, no lone surrogate. A name that is not ASCII raises.
    return f"event: {event}\ndata: {json.dumps(document)}\n\n".encode("ascii")


def answer_for(exc: BaseException) -> tuple[int, dict[str, str]]:
    """The status and the headers with which a client is told of a failure of the provider."""
    if isinstance(exc, RateLimitError):
        after = exc.response.headers.get("retry-after")
        return 429, {"Retry-After": after} if after else {}
    if isinstance(exc, APITimeoutError):  # an APIConnectionError, too, so it comes first
        return 504, {}
    if isinstance(exc, APIError):  # 401 as well: it is our key that was refused
        return 502, {}
    raise exc
