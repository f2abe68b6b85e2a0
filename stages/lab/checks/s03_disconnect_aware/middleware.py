"""The exercise `middleware`: a small app (`stamped`) behind a class, and all that it is asked."""

import time
from typing import Any

import websockets

from stages.lab.checks.s03_disconnect_aware.stamp_cases import (
    CASES,
    HIDDEN,
    LEAVE,
    LIFESPAN,
    NAME,
    PIECES,
    REQUEST,
    SHARED,
    SOCKET,
    VALUE,
    WAIT_S,
    Case,
)
from stages.lab.checks.s03_disconnect_aware.stamps import READ_S, Stamped, headers, with_server
from stages.lab.clients.client import Client
from stages.lab.exercises.attempt import calling, now, show
from stages.lab.exercises.exercise import Short


async def judge_middleware(stamp: Any) -> str:
    """Serve a small app behind the class, and ask for everything."""
    await with_server(stamp, look)
    return (
        f"{len(CASES)} responses had the header once, a websocket none, a stream came in "
        "pieces, and the app saw both leaves."
    )


async def look(stamped: Stamped) -> None:
    """Ask for everything, from simple to nasty; raises NotYet at the first that does not hold."""
    for case in CASES:
        await _answers(stamped, case)
    stamped.read_before = 0
    with calling("uvicorn starts", "the app gets the lifespan scope", LIFESPAN):
        if not await stamped.saw("start"):
            raise stamped.not_yet("the app was never told that the server starts")
    await _websocket(stamped)
    await _leave(stamped, "asks", "in `await receive()`", LEAVE)
    await _in_pieces(stamped)
    await _leave(stamped, "polls", "with `request.is_disconnected()`", HIDDEN)


async def _answers(stamped: Stamped, case: Case) -> None:
    stamped.read_before = len(stamped.server.log)
    with calling(f"POST {case.path}    # {case.name}", _expected(case), case.rule):
        async with stamped.client(case.path) as client:
            if not await client.read(deadline_s=READ_S):
                now.rule = REQUEST
                raise stamped.not_yet(f"no whole answer in {READ_S:g} s", client, READ_S)
        if (got := _wrong(case, client)) is not None:
            raise stamped.not_yet(got, client)


def _wrong(case: Case, client: Client) -> str | None:
    """Return what is wrong with an answer, None when nothing is."""
    came = headers(client)
    if client.status != case.status:
        return f"status {client.status}"
    stamps = [line for line in came if line.lower().startswith(f"{NAME}:")]
    if [line.partition(":")[2].strip() for line in stamps] != [VALUE]:
        return " and ".join(stamps) or f"no header {NAME}"
    if lost := [line for line in case.keeps if line not in came]:
        return f"an answer without `{lost[0]}`"
    if case.body is not None and client.body != case.body:
        return f"the body {show(bytes(client.body))}"
    return None if client.ended == "clean" else f"an answer that is {client.ended}"


def _expected(case: Case) -> str:
    parts = [f"status {case.status}", f"{NAME}: {VALUE}, once", *case.keeps]
    parts += [f"the body {case.body!r}"] if case.body is not None else []
    return "\n".join(parts)


async def _websocket(stamped: Stamped) -> None:
    stamped.read_before = len(stamped.server.log)
    url = stamped.server.url.replace("http", "ws", 1) + "/echo"
    expected = f"a handshake without {NAME}, and `hello` back"
    with calling("a websocket sends `hello`", expected, SOCKET):
        try:
            async with websockets.connect(url, proxy=None, open_timeout=READ_S) as websocket:
                await websocket.send("hello")
                said = await websocket.recv()
                answer = websocket.response
        except (websockets.WebSocketException, OSError, TimeoutError) as exc:
            within_s = READ_S if isinstance(exc, TimeoutError) else None
            raise stamped.not_yet(f"{type(exc).__name__}: {exc}", within_s=within_s) from exc
        if answer is not None and NAME in answer.headers:
            raise stamped.not_yet(f"a handshake with {NAME}")
        if said != "hello":
            raise stamped.not_yet(f"{said!r} came back")


async def _in_pieces(stamped: Stamped) -> None:
    stamped.read_before = len(stamped.server.log)
    with calling(
        "POST /pieces    # the app waits behind its first piece", "`one `, at once", PIECES
    ):
        async with stamped.client("/pieces") as client:
            if not await client.read(lambda: client.body == b"one ", deadline_s=READ_S):
                raise stamped.not_yet(f"nothing in {READ_S:g} s", client, READ_S)
            now.call = "POST /pieces    # meanwhile another client asks for something else"
            now.expected, now.rule = "`one ` and then `two`, to the client that asked", SHARED
            async with stamped.client("/next") as other:
                await other.read(deadline_s=READ_S)
            await client.read(deadline_s=READ_S)
        if (bytes(client.body), bytes(other.body)) != (b"one two", b"said"):
            got = f"{show(bytes(client.body))}, and the other client got {show(bytes(other.body))}"
            raise stamped.not_yet(got, within_s=READ_S if _may_follow(client, other) else None)


def _may_follow(client: Client, other: Client) -> bool:
    """Return whether what is missing could still come, behind what is there."""
    begun = b"one two".startswith(client.body) and b"said".startswith(other.body)
    return begun and "left" in (client.ended, other.ended)


async def _leave(stamped: Stamped, path: str, how: str, rule: str) -> None:
    call = f"POST /{path}    # the client leaves while the app waits for it {how}"
    with calling(call, "the app sees the leave at once", rule):
        async with stamped.client(f"/{path}") as client:
            if not await stamped.saw(path):
                raise stamped.not_yet("the app was never asked", within_s=WAIT_S)
            client.leave()
        now.since_s = time.monotonic()
        if not await stamped.saw(f"left, {path}"):
            late = stamped.not_yet("the app does not see it", within_s=WAIT_S)
            if await stamped.saw("again"):
                raise stamped.not_yet("the request comes a second time")
            raise late


middleware = Short(
    stem="s03_disconnect_aware",
    name="middleware",
    stub="Stamp",
    minutes=20,
    difficulty="medium",
    judge=judge_middleware,
    hints=(
        "An ASGI app is called once for each request, with three things: `scope`, `receive`, "
        "`send`. A header is sent in one message only. Which of the three has to be another one "
        "for the app inside, and which two can be handed on as they are?",
        "Write an inner `async def stamped(message)` and hand it on in place of `send`. It looks "
        "at `message['type']`: `http.response.start` is the one with the status and the headers, "
        "a list of pairs of bytes, which may be left out. All the others go on as they are, at "
        "once. `scope['type']` says whether it is HTTP at all.",
        "`headers = [*message.get('headers', ()), (b'x-served-by', b'stages')]`, then "
        "`message = {**message, 'headers': headers}`, then `await send(message)`. At the end "
        "`await self.app(scope, receive, stamped if scope['type'] == 'http' else send)`.",
    ),
    or_else="Right, too: `starlette.datastructures.MutableHeaders(scope=message)` and its "
    "`append`, which changes the message in place. Its `[...] =` would replace a header of this "
    "name that the app has set.",
    deadline_s=40.0,  # a server starts in 1 s; on a busy machine it takes ten times that
)
