"""Stamps: a learner's middleware over real sockets, under real uvicorn in a process of its own."""

import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import websockets

from stages.lab.checks.s03_disconnect_aware.stamped import ANSWER_FILE, PURPOSE, WAIT_S
from stages.lab.clients.client import Client
from stages.lab.exercises import attempt
from stages.lab.exercises.attempt import calling, now, show
from stages.lab.exercises.outcome import NotYet
from stages.lab.processes import tracebacks
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import serve

READ_S = 3.0  # an answer takes milliseconds; the rest is for a busy machine
READY_S = 15.0  # a server starts in 1 s; the rest is for a busy machine
END_S = 1.0  # a server whose answer never ends is killed then
NAME, VALUE = "x-served-by", "stages"
DIFFERS = ("date", "server")  # headers of uvicorn's own, which differ from run to run

WWW = "https://asgi.readthedocs.io/en/latest/specs/www.html"
STARLETTE = "https://www.starlette.io/middleware/"
START = (
    f"The headers of a response go out with `http.response.start`: {WWW}#response-start-send-event"
)
MADE = f"A middleware is made with the app that it stands before: {STARLETTE}#pure-asgi-middleware"
KEPT = (
    "A middleware adds to the list of headers and keeps what is there. It is a list because a name "
    "may come twice, as set-cookie does: https://www.rfc-editor.org/rfc/rfc6265#section-3"
)
REQUEST = (
    "Each request message comes once. What the middleware receives, the app does not: "
    f"{STARLETTE}#pure-asgi-middleware"
)
ERRORS = f"An error is a response, too, with a start message of its own: {WWW}#http"
BARE = f"`headers` may be left out of `http.response.start`: {WWW}#response-start-send-event"
LIFESPAN = (
    "A middleware passes on every scope that it has no business with, lifespan too: "
    "https://asgi.readthedocs.io/en/latest/specs/lifespan.html"
)
SOCKET = f"A websocket is no HTTP response, and its messages stay as they are: {WWW}#websocket"
PIECES = (
    "Each body message goes out as it comes; a stream that is collected first is no stream: "
    f"{WWW}#response-body-send-event"
)
SHARED = (
    "One object serves all requests at once. What belongs to one request stays in its call, and "
    f"not on `self`: {STARLETTE}#per-request-state"
)
LEAVE = (
    "The app asks `receive` for the leave, so it gets the server's own, at any time: "
    f"{WWW}#disconnect-receive-event"
)
HIDDEN = (
    "BaseHTTPMiddleware gives the app a `receive` of its own, which does not say it to a handler "
    f"that only looks: {STARLETTE}#limitations"
)


@dataclass(frozen=True)
class Case:
    """A POST of `hello`, and what must come back."""

    name: str
    path: str
    status: int
    rule: str
    body: bytes | None = None
    keeps: tuple[str, ...] = ()


CASES = (
    Case("an answer of the app", "/plain", 200, START),
    Case(
        "an answer with headers of its own",
        "/plain",
        200,
        KEPT,
        keeps=(
            "content-type: text/plain; charset=utf-8",
            "set-cookie: one=1; Path=/; SameSite=lax",
            "set-cookie: two=2; Path=/; SameSite=lax",
        ),
    ),
    Case("a request with a body", "/plain", 200, REQUEST, body=b"you said hello"),
    Case("a path that there is not", "/nowhere", 404, ERRORS),
    Case("a failure in the app", "/fails", 500, ERRORS),
    Case("a start without headers", "/bare", 204, BARE),
)


class Stamped:
    """A server with the learner's middleware, and the questions that the check asks it."""

    def __init__(self, server: Process) -> None:
        self.server = server
        self.read_before = 0  # of the log: what stands there belongs to earlier calls

    def client(self, path: str, body: bytes = b"hello") -> Client:
        """Return a client that posts this body."""
        return Client(self.server.url + path, body)

    async def saw(self, what: str) -> bool:
        """Return whether the app sees this, in WAIT_S; raises NotYet when it does not tell."""
        async with self.client("/saw", what.encode()) as client:
            if not await client.read(deadline_s=READ_S):
                raise self.not_yet(f"the app does not tell, in {READ_S:g} s", within_s=READ_S)
        return bytes(client.body) == b"true"

    def not_yet(
        self, got: str, client: Client | None = None, within_s: float | None = None
    ) -> NotYet:
        """Return what does not hold: with the learner's line if it raised, else the headers.

        What has raised is no matter of time, also when nothing came in `within_s`.
        """
        raised, line = _raised(self.server.log[self.read_before :])
        if line and PURPOSE not in raised:
            return NotYet(now.call, f"{got}. {raised}", now.expected, now.rule, line)
        at = "\n".join(headers(client)) if client is not None else ""
        return NotYet(now.call, got, now.expected, now.rule, at, within_s)


def headers(client: Client) -> list[str]:
    """Return the headers of an answer as they came, one line each, without those that differ."""
    lines = bytes(client.wire).partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [line for line in lines if line.partition(":")[0].lower() not in DIFFERS]


def _raised(log: str) -> tuple[str, str]:
    """Return the last exception in a log, and the learner's line that it passed last, if any."""
    return tracebacks.last(log, attempt.source.file, attempt.source.lines)


def serve_behind(answer: Any, folder: str) -> Process:
    """Return a server of the app behind the learner's class, which goes through a folder."""
    file = Path(folder, "answer.pickle")
    file.write_bytes(cloudpickle.dumps(answer))
    env = {ANSWER_FILE: str(file)}
    return serve(
        "stages.lab.checks.s03_disconnect_aware.stamped:app",
        "",
        env=env,
        grace_s=END_S,
        ready_s=READY_S,
        must_end=False,
    )


async def with_server(answer: Any, look: Callable[[Stamped], Awaitable[None]]) -> None:
    """Serve the app behind the learner's class, and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with serve_behind(answer, folder) as server:
                await look(Stamped(server))
        except ProcessError as exc:
            raised, line = _raised(str(exc))
            if "was not ready after" in str(exc):
                got = "it waits for ever: the messages of the scope `lifespan` do not come through"
                expected = "the app answers that it has started"
                late = NotYet("uvicorn starts", got, expected, LIFESPAN, line, READY_S)
                raise late from exc
            raise NotYet("Stamp(app)", raised or str(exc), "an ASGI app", MADE, line) from exc


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
