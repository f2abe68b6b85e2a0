"""The checks of s03 tell a right answer from a wrong one, and say what is wrong with it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import pytest
from starlette.datastructures import MutableHeaders
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from solutions.s03_disconnect_aware import Stamp, unless_left
from stages.lab.checks.s03_disconnect_aware import middleware, race, stamps
from stages.lab.checks.s03_disconnect_aware.middleware import look
from stages.lab.exercises.outcome import NotYet
from stages.lab.processes.process import NotReady, ProcessError
from tests.helpers.wrong_answers import (
    STAMP,
    DropsLifespan,
    Middleware,
    RepeatsTheBody,
    end,
    leaves_the_loser,
    spins,
)

Call = Callable[[], Awaitable[Any]]


# --- race ---------------------------------------------------------------------------------------


async def one_after_the_other(call: Call, left: Call) -> Any:
    answer = await call()
    return None if await left() else answer


async def waits_for_both(call: Call, left: Call) -> Any:
    return (await asyncio.gather(call(), left()))[0]


async def cancels_and_goes(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    done, pending = await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return calling.result() if calling in done else None


async def polls(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    try:
        while not leaving.done():
            try:
                return await asyncio.wait_for(asyncio.shield(calling), 0.1)
            except TimeoutError:
                pass
        return None
    finally:
        await end(calling, leaving)


async def lets_the_group_out(call: Call, left: Call) -> Any:
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await left()
            group.cancel_scope.cancel()

        group.start_soon(watch)
        answer = await call()
        group.cancel_scope.cancel()
        return answer
    return None


async def swallows_the_cancellation(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    with suppress(asyncio.CancelledError):
        await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    await end(calling, leaving)
    return None if calling.cancelled() else calling.result()


async def has_no_finally(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    await end(calling, leaving)
    return None if calling.cancelled() else calling.result()


async def looks_at_the_leave_first(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    try:
        await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return None if leaving.done() else calling.result()
    finally:
        await end(calling, leaving)


async def is_hasty_when_it_is_cancelled_twice(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    try:
        await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        calling.cancel()
        leaving.cancel()
        await asyncio.wait({calling, leaving})
    return None if calling.cancelled() else calling.result()


async def forgets_an_empty_text(call: Call, left: Call) -> Any:
    return await unless_left(call, left) or None


async def asks_twice(call: Call, left: Call) -> Any:
    for _ in range(2):
        answer = await unless_left(call, left)
    return answer


async def waits_with_asyncio(call: Call, left: Call) -> Any:
    calling, leaving = asyncio.ensure_future(call()), asyncio.ensure_future(left())
    try:
        await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(calling, leaving)
    return None if calling.cancelled() else calling.result()


WRONG_RACES: dict[Callable[..., Any], tuple[str, ...]] = {
    one_after_the_other: ("# call returns\n", "left has not begun", "asyncio.create_task"),
    waits_for_both: ("# call returns\n", "left is not cancelled, 100 turns of the event loop"),
    leaves_the_loser: ("# call returns\n", "the end, but left still runs", "has to be awaited"),
    cancels_and_goes: ("# call returns\n", "left was cancelled, and still cleans up"),
    polls: ("# left returns\n", "call is not cancelled, 100 turns", "A poll sees it at its next"),
    spins: ("the event loop never rests while both wait", "computes nothing"),
    lets_the_group_out: ("# call raises\n", "ExceptionGroup", "Refused('429') as itself"),
    swallows_the_cancellation: ("# cancelled from outside\n", "None: the cancellation is lost"),
    has_no_finally: ("# cancelled from outside\n", "the end, but call still runs"),
    looks_at_the_leave_first: ("the cleanup of call raises", "None: what call raised is lost"),
    is_hasty_when_it_is_cancelled_twice: ("# left returns, then cancelled", "still cleans up"),
    forgets_an_empty_text: ("# call returns an empty text\n", "got       None", "''; both have"),
    asks_twice: ("# call returns\n", "call was called 2 times", "asks once"),
}


@pytest.mark.parametrize("answer", WRONG_RACES, ids=lambda answer: answer.__name__)
def test_a_wrong_race_is_told_what_is_wrong_with_it(answer: Callable[..., Any]) -> None:
    outcome = race.check(answer)

    assert outcome.state == "not yet"
    assert [words for words in WRONG_RACES[answer] if words not in repr(outcome)] == []


def test_a_race_that_loses_its_loser_is_shown_the_moments() -> None:
    outcome = race.check(cancels_and_goes)

    moments = [line for name, text in outcome.lines if name == "at" for line in text.split("\n")]
    assert moments.index("unless_left returns 'the answer'") < moments.index(
        "left is cancelled, and cleans up"
    )


def test_a_race_of_two_tasks_is_right_too() -> None:
    outcome = race.check(waits_with_asyncio)

    assert (outcome.state, outcome.finding[:12]) == ("right", "All 12 races")


# --- middleware ---------------------------------------------------------------------------------


class DoesNothing(Middleware):
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class SendsText(Middleware):
    # Not `stamp`: the line that the check looks for is the one that sends, and in this file.
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), ("x-served-by", "stages")]
            await send(message)

        await self.app(scope, receive, stamped)


class MakesADict(Middleware):
    def stamp(self, message: Message) -> None:
        message["headers"] = list(dict([*message.get("headers", ()), STAMP]).items())


class NeedsHeaders(Middleware):
    def stamp(self, message: Message) -> None:
        message["headers"].append(STAMP)


class StampsSuccess(Middleware):
    def stamp(self, message: Message) -> None:
        if message["status"] < 400:
            super().stamp(message)


class StampsEveryMessage(Middleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            self.stamp(message)
            await send(message)

        await self.app(scope, receive, stamped)


class ReadsTheBody(Middleware):
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await super().http(scope, receive, send)


class ForgetsTheLeave(Middleware):
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages = [await receive()]

        async def once() -> Message:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop()

        await super().http(scope, once, send)


class CollectsTheBody(Middleware):
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages = list[Message]()

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            await super().http(scope, receive, keep)
        finally:
            for message in messages:
                await send(message)


class KeepsSendOnItself(Middleware):
    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.send = send
        await self.app(scope, receive, self.stamped)

    async def stamped(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.stamp(message)
        await self.send(message)


class OnTheBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-served-by"] = "stages"
        return response


class TakesNoApp:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(scope)


class WithMutableHeaders(Middleware):
    def stamp(self, message: Message) -> None:
        message.setdefault("headers", [])
        MutableHeaders(scope=message).append("x-served-by", "stages")


WRONG_STAMPS: dict[type, tuple[str, ...]] = {
    TakesNoApp: ("Stamp(app)", "TypeError: TakesNoApp", "made with the app"),
    DoesNothing: ("# an answer of the app\n", "no header x-served-by", "http.response.start"),
    SendsText: ("TypeError: a header is two byte strings, and not ('x-served-by', 'stages')",),
    MakesADict: ("an answer without `set-cookie: one=1", "rfc6265"),
    ReadsTheBody: ("no whole answer in 3 s", "What the middleware receives, the app does not"),
    StampsSuccess: ("# a path that there is not\n", "no header x-served-by", "An error is a"),
    NeedsHeaders: ("KeyError: 'headers'", "may be left out"),
    DropsLifespan: ("the app was never told that the server starts", "lifespan"),
    StampsEveryMessage: ("a handshake with x-served-by", "#websocket"),
    RepeatsTheBody: ("the request comes a second time", "disconnect-receive-event"),
    ForgetsTheLeave: ("the client leaves", "the app does not see it", "the server's own"),
    CollectsTheBody: ("# the app waits behind its first piece\n", "nothing in 3 s", "is no stream"),
    KeepsSendOnItself: ("# meanwhile another client asks", "One object serves all requests"),
    OnTheBase: ("is_disconnected()", "the app does not see it", "BaseHTTPMiddleware gives"),
}


@pytest.mark.parametrize("answer", WRONG_STAMPS, ids=lambda answer: answer.__name__)
def test_a_wrong_middleware_is_told_what_is_wrong_with_it(answer: type) -> None:
    outcome = middleware.check(answer)

    assert outcome.state == "not yet"
    assert [words for words in WRONG_STAMPS[answer] if words not in repr(outcome)] == []


def test_a_middleware_that_raises_is_shown_its_line() -> None:
    outcome = middleware.check(NeedsHeaders)

    assert 'message["headers"].append(STAMP)' in dict(outcome.lines)["at"]


def test_a_middleware_with_mutable_headers_is_right_too() -> None:
    outcome = middleware.check(WithMutableHeaders)

    assert outcome.state == "right"
    assert "6 responses had the header once" in outcome.finding


@pytest.mark.parametrize(
    ("exc", "got"),
    [
        (NotReady("late"), "it waits for ever: the messages of the scope `lifespan` do not come"),
        (ProcessError("it was not ready after 3 s"), "it was not ready after 3 s"),
    ],
)
def test_a_server_that_waits_for_its_start_is_told_from_one_that_fails(
    exc: ProcessError, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def not_started(*words: Any) -> Iterator[None]:
        raise exc
        yield

    monkeypatch.setattr(stamps, "serve_behind", not_started)  # fifteen seconds are long

    with pytest.raises(NotYet) as caught:
        asyncio.run(stamps.with_server(Stamp, look))

    assert caught.value.got.startswith(got)
