"""Our solutions to the short exercises of s03."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")


async def unless_left(
    call: Callable[[], Awaitable[T]], left: Callable[[], Awaitable[object]]
) -> T | None:
    """Return what `call` returns, or None when `left` returns first; the loser has ended."""
    answer: T | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as race:

        async def watch() -> None:
            await left()
            race.cancel_scope.cancel()

        race.start_soon(watch)
        try:
            answer = await call()
        except Exception as exc:  # raised in here, it would come out in an ExceptionGroup
            failure = exc
        race.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


class Stamp:
    """Adds `x-served-by: stages` to every HTTP response, and changes nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app  # and nothing of a request: all requests share this object

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on everything, and the start of a response with one header more."""

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-served-by", b"stages")]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, stamped if scope["type"] == "http" else send)
