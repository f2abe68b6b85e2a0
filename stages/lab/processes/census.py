"""The census: what a server process holds at this moment, counted while it runs.

The process counts itself what only it can see, its tasks and its write buffers, when it gets a
signal, and says so in one line of its log. What its kernel knows of it is asked from outside.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil

from stages.lab.processes.process import CENSUS, Process, ProcessError, how_ended
from stages.lab.processes.until import NotInTime, until

COUNT_S = 10.0  # measured: 1 ms; 200 clients that leave at once keep a loop busy for a second
STDOUT = 1
LINE = re.compile(r"census (\{.*\})\n")


@dataclass(frozen=True)
class Census:
    """What a server process held at one moment.

    `tasks` counts those of its event loop: at rest, uvicorn's own and one for the lifespan of an
    app that has one. `unsent_bytes` has for each open connection what its transport keeps because
    the kernel does not take it, the most first. `rss_bytes` is the memory of the process that is in
    RAM, and `open_files` counts its file descriptors, sockets among them.
    """

    tasks: int
    unsent_bytes: tuple[int, ...]
    rss_bytes: int
    open_files: int


def report(transports: Iterable[asyncio.WriteTransport]) -> None:
    """Write to the log what this process holds; to be called in its event loop, by no task."""
    counts = {
        "at_s": time.monotonic(),
        "tasks": len(asyncio.all_tasks()),
        "unsent_bytes": [transport.get_write_buffer_size() for transport in transports],
    }
    # In one piece: print() would write the end of the line apart, and a thread could come between.
    os.write(STDOUT, f"census {json.dumps(counts)}\n".encode())


async def census(process: Process) -> Census:
    """Return what a server holds now; `process` is one that `serve` returned, or a bench has.

    Raises ProcessError when it has ended, or does not answer in COUNT_S.
    """
    asked_s = time.monotonic()
    process.signal(CENSUS)

    async def look() -> list[dict[str, Any]]:
        answers = _answers(process, asked_s)
        if not answers and process.exit_code is not None:
            raise _ended(process)
        return answers

    try:
        answers = await until(look, bool, COUNT_S, f"a census of {process.name}")
    except NotInTime as exc:
        raise ProcessError(
            f"{process.name} gave no census in {COUNT_S:g} s. Probably its event loop is blocked: "
            "something in it computes or waits without `await`. Look there; only a server that "
            f"`serve` has started gives one at all. {process.log_tail()}"
        ) from exc
    try:
        seen = psutil.Process(process.pid)
        rss_bytes, open_files = seen.memory_info().rss, seen.num_fds()
    except psutil.NoSuchProcess as exc:
        raise _ended(process) from exc
    unsent_bytes = tuple(sorted(answers[0]["unsent_bytes"], reverse=True))
    return Census(answers[0]["tasks"], unsent_bytes, rss_bytes, open_files)


def _answers(process: Process, asked_s: float) -> list[dict[str, Any]]:
    """Return the lines that were written since then: an older one may answer somebody else."""
    lines = [json.loads(line) for line in LINE.findall(process.log)]
    return [line for line in lines if line["at_s"] >= asked_s]


def _ended(process: Process) -> ProcessError:
    how = "" if process.exit_code is None else f" {how_ended(process.exit_code)}"
    return ProcessError(
        f"{process.name} has ended{how}, so nothing in it can be counted. Probably it failed, or "
        f"its context has been left. Ask while it runs. {process.log_tail()}"
    )
