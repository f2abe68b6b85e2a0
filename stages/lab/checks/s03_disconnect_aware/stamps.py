"""Stamps: a learner's middleware over real sockets, under real uvicorn in a process of its own."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cloudpickle

from stages.lab.checks.s03_disconnect_aware.stamp_cases import (
    ANSWER_FILE,
    LIFESPAN,
    MADE,
    PURPOSE,
)
from stages.lab.clients.client import Client
from stages.lab.exercises import attempt
from stages.lab.exercises.attempt import now
from stages.lab.exercises.outcome import NotYet
from stages.lab.processes import tracebacks
from stages.lab.processes.process import NotReady, Process, ProcessError
from stages.lab.processes.serve import serve

READ_S = 3.0  # an answer takes milliseconds; the rest is for a busy machine
READY_S = 15.0  # a server starts in 1 s; the rest is for a busy machine
END_S = 1.0  # a server whose answer never ends is killed then
DIFFERS = ("date", "server")  # headers of uvicorn's own, which differ from run to run


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
            if isinstance(exc, NotReady):
                got = "it waits for ever: the messages of the scope `lifespan` do not come through"
                expected = "the app answers that it has started"
                late = NotYet("uvicorn starts", got, expected, LIFESPAN, line, READY_S)
                raise late from exc
            raise NotYet("Stamp(app)", raised or str(exc), "an ASGI app", MADE, line) from exc
