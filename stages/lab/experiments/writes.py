"""Writes: whether a row is there when the client has left, and when the server was stopped."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from urllib.parse import quote

from stages.lab.clients.client import Client
from stages.lab.experiments.ways_to_write import JOURNAL, WAYS
from stages.lab.processes.process import Process
from stages.lab.processes.until import last_look

STOP_S = 1  # uvicorn's --timeout-graceful-shutdown, in whole seconds
DEADLINE_S = 10.0  # for what takes 0.3 s, or a stop


class NotMeasured(Exception):
    """A stream did not begin; the message says why."""


@dataclass(frozen=True)
class Left:
    """What became of a row when the client had left, in seconds since then.

    `row_s` is when it was there, and `after_s` when the line after the write ran; None where that
    never came. `wake_ups` is how often the loop around a shield was woken before the row was there.
    """

    row_s: float | None
    after_s: float | None
    wake_ups: int


@dataclass(frozen=True)
class Written:
    """What became of the row that was written in one way.

    `left` is after a client's leave. The others say whether the row is there when the process has
    ended after SIGTERM: `hasty` when its lifespan ends at once, `patient` when it waits for the
    requests that run, and for the tasks that are kept.
    """

    left: Left
    hasty: bool
    patient: bool

    @property
    def facts(self) -> tuple[bool, bool, bool, bool]:
        """The row after a leave, the line after it, the row after a hasty and a patient stop."""
        return self.left.row_s is not None, self.left.after_s is not None, self.hasty, self.patient


@dataclass(frozen=True)
class _Note:
    at_s: float
    wake_ups: int


class _App:
    """The app in a process of its own, and its journal."""

    def __init__(self, name: str, journal: Path) -> None:
        self._journal = journal
        argv = [
            "stages.lab.processes.host",
            f"stages.lab.experiments.ways_to_write:{name}",
            f"--stop-s={STOP_S}",
        ]
        self.process = Process(f"The {name} app", argv, env={JOURNAL: str(journal)})

    def notes(self, way: str) -> dict[str, _Note]:
        """Return what the journal says of a way."""
        text = self._journal.read_text() if self._journal.exists() else ""
        lines = [line.split("\t") for line in text.splitlines()]
        return {word: _Note(float(at), int(n)) for of, word, at, n in lines if of == way}

    async def all_notes(self, way: str, deadline_s: float) -> dict[str, _Note]:
        """Return what the journal says of a way when no more will come, or at the deadline."""

        async def look() -> dict[str, _Note]:
            return self.notes(way)

        # What began the write has ended, and so has the write.
        return await last_look(look, lambda found: {"gone", "ended"} <= found.keys(), deadline_s)

    async def begun(self, way: str, stack: AsyncExitStack) -> Client:
        """Return a client that has read the first event of a way; it stays as long as the stack."""
        client = Client(f"{self.process.url}/{quote(way)}", b"")
        await stack.enter_async_context(client)
        await client.read(lambda: len(client.events) > 0, deadline_s=DEADLINE_S)
        if not client.events:
            raise NotMeasured(
                f"The stream of {way!r} did not begin: the app answered with status "
                f"{client.status}. Probably it is none of the ways. There are: "
                f"{', '.join(WAYS)}. {self.process.log_tail()}"
            )
        return client


async def measure(*ways: str) -> dict[str, Written]:
    """Return what becomes of the row in some of the WAYS, or in all of them, which takes 10 s.

    Raises NotMeasured when a stream does not begin.
    """
    ways = ways or WAYS
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def started(name: str, journal: str) -> _App:
            app = _App(name, Path(folder, journal))
            stack.enter_context(app.process)
            return app

        app = started("hasty", "left")
        left = {way: await _leave(app, way) for way in ways}
        app = started("hasty", "stopped")
        # One process for each: where it waits for a row, it would give time to all the others.
        apps = {way: started("patient", f"stopped {n}") for n, way in enumerate(ways)}
        async with asyncio.TaskGroup() as group:
            hasty = group.create_task(_stop(app, *ways))
            patient = {way: group.create_task(_stop(apps[way], way)) for way in ways}
    return {
        way: Written(left[way], way in hasty.result(), way in patient[way].result()) for way in ways
    }


async def _leave(app: _App, way: str) -> Left:
    """Leave a stream in the middle, and see what becomes of its row."""
    async with AsyncExitStack() as stack:
        client = await app.begun(way, stack)
        left_s = time.monotonic()
        client.leave()
    notes = await app.all_notes(way, DEADLINE_S)
    at_s = {word: note.at_s - left_s for word, note in notes.items()}
    wake_ups = max((note.wake_ups for note in notes.values()), default=0)
    return Left(at_s.get("row"), at_s.get("after"), wake_ups)


async def _stop(app: _App, *ways: str) -> set[str]:
    """Stop a server in the middle of streams; returns the ways whose row is there afterwards."""
    async with AsyncExitStack() as stack:
        for way in ways:
            await app.begun(way, stack)
        app.process.signal(SIGTERM)
        await asyncio.to_thread(app.process.wait, DEADLINE_S)
    return {way for way in ways if "row" in app.notes(way)}
