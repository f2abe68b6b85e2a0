"""Ways to write a row when a stream has ended: an app in which nothing else is going on.

Each way answers with one event and then a silence. When the stream is ended, it writes a row, which
takes WRITE_S, and then runs one more line. The app is no stage: it has no upstream, and its
database is a journal, a file to which it appends. `stages.lab.experiments.writes` measures it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

WRITE_S = 0.3  # a slow commit, and many times what a process takes to end
BOUND_S = 5.0
JOURNAL = "JOURNAL"  # the variable with the path of the file

kept: set[asyncio.Task[None]] = set()


def keep(task: asyncio.Task[None]) -> None:
    """Keep a task until it is done."""
    kept.add(task)
    task.add_done_callback(kept.discard)


class Row:
    """The row of one stream, and the journal of what became of it."""

    def __init__(self, way: str) -> None:
        self.way, self.wake_ups = way, 0

    def note(self, word: str) -> None:
        """Append a line to the journal."""
        with Path(os.environ[JOURNAL]).open("a") as journal:
            journal.write(f"{self.way}\t{word}\t{time.monotonic()}\t{self.wake_ups}\n")

    async def write(self) -> None:
        """Make the row."""
        try:
            await asyncio.sleep(WRITE_S)
            self.note("row")
        finally:
            self.note("ended")


Way = Callable[[Row], Awaitable[None]]


async def _plain(row: Row) -> None:
    await row.write()


async def _shield(row: Row) -> None:
    await asyncio.shield(row.write())


async def _shield_and_await(row: Row) -> None:
    writing = asyncio.create_task(row.write())
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await writing


async def _shield_in_a_loop(row: Row) -> None:
    writing = asyncio.create_task(row.write())
    while not writing.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(writing)
        row.wake_ups += 1


async def _scope(row: Row) -> None:
    with anyio.move_on_after(BOUND_S, shield=True):
        await row.write()


async def _task(row: Row) -> None:
    asyncio.create_task(row.write())  # noqa: RUF006 - that nobody keeps it is what is measured


async def _kept_task(row: Row) -> None:
    keep(asyncio.create_task(row.write()))


BACKGROUND = "background= of the response"
DEPENDENCY = "await write() in a dependency"
IN_FINALLY: dict[str, Way] = {
    "await write()": _plain,
    "await asyncio.shield(write())": _shield,
    "shield, and await again": _shield_and_await,
    "shield, in a loop": _shield_in_a_loop,
    "anyio.move_on_after(5, shield=True)": _scope,
    "create_task(write())": _task,
    "create_task(write()), kept in a set": _kept_task,
}
WAYS = (*IN_FINALLY, BACKGROUND, DEPENDENCY)


async def finish(row: Row, way: Way = _plain) -> None:
    """Write the row, and run the line after it."""
    try:
        await way(row)
        row.note("after")
    finally:
        row.note("gone")


async def events() -> AsyncIterator[str]:
    """Yield one event, and then nothing until somebody ends it."""
    yield "data: first\n\n"
    await asyncio.Event().wait()


async def events_and_row(row: Row, way: Way) -> AsyncIterator[str]:
    """Do the same, and write the row in the end."""
    try:
        async for one in events():
            yield one
    finally:
        await finish(row, way)


async def owner() -> AsyncIterator[None]:
    """Hold the stream, and write the row in the end."""
    try:
        yield
    finally:
        await finish(Row(DEPENDENCY))


async def keep_request() -> None:
    """Keep the task that runs this request."""
    task = asyncio.current_task()
    assert task is not None
    keep(task)


@asynccontextmanager
async def wait_for_all(app: FastAPI) -> AsyncIterator[None]:
    """At the end, wait until nothing runs that was kept."""
    del app
    yield
    with anyio.move_on_after(BOUND_S):
        while kept:
            await asyncio.wait(kept)


hasty = FastAPI()
patient = FastAPI(lifespan=wait_for_all, dependencies=[Depends(keep_request)])


@hasty.post(f"/{BACKGROUND}")
@patient.post(f"/{BACKGROUND}")
async def in_background() -> StreamingResponse:
    """Leave the row to a task of the response."""
    return StreamingResponse(events(), background=BackgroundTask(finish, Row(BACKGROUND)))


@hasty.post(f"/{DEPENDENCY}")
@patient.post(f"/{DEPENDENCY}")
async def in_dependency(owned: Annotated[None, Depends(owner)]) -> StreamingResponse:
    """Leave the row to the owner of the stream."""
    return StreamingResponse(events())


@hasty.post("/{way}")
@patient.post("/{way}")
async def in_finally(way: str) -> StreamingResponse:
    """Write the row in the `finally` of the generator."""
    return StreamingResponse(events_and_row(Row(way), IN_FINALLY[way]))
