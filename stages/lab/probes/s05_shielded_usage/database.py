"""The database: a storm of leaves does it no harm, and its own failure costs no stream."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

from stages.lab.bench.accounts import busy, final, is_free, rows
from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.leaving import COME_S
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.probes.s03_disconnect_aware import SILENT
from stages.lab.probes.s05_shielded_usage.accounting import (
    FINAL_S,
    NO_ROW,
    one_row,
    rows_until,
    says,
    unfinished,
)
from stages.lab.probes.s05_shielded_usage.stops import HELD, STOP, not_begun
from stages.lab.processes import tracebacks
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import Script

STORM = 100


async def storm_leaves_no_transaction(bench: Bench) -> Verdict:
    """A hundred clients leave at the same moment: does the database come out of it whole?

    Rule: every row becomes final, no transaction stays open, so that another process can write, and
    the next stream gets its row.
    Source: https://docs.sqlalchemy.org/en/21/core/pooling.html
    """
    server = bench.shaped(STOP)
    database = bench.database(server)
    if (wrong := await _storm(bench, server)) is not None:
        return complain(wrong)
    left_s = time.monotonic()
    stormed, final_s = await rows_until(bench, server, final(STORM), COME_S)
    told = f"they were final, but later than {COME_S:g} s after the storm"
    late = bench.witness.late(told, COME_S, since_s=left_s, came_s=final_s)
    next_one = await bench.ask(Script.answer("a"), server=server)
    check = says("completed", "provider", 1, 7)
    return judge(
        {
            "the rows": unfinished(stormed, client_closed=STORM) or late,
            "another process": None if is_free(database, FINAL_S) else "it cannot write",
            "the next stream": await one_row(bench, server, stormed, check),
        },
        f"{STORM} rows are final, another process can write, and the next stream got its row",
        {"the next stream": next_one.timeline},
    )


async def _storm(bench: Bench, server: Process) -> Complaint | None:
    """Have a crowd come and leave at once; returns why it was no storm."""
    async with AsyncExitStack() as stack:
        prompt = await bench.register(SILENT)
        for _ in range(STORM):
            await stack.enter_async_context(bench.client(prompt, server=server))
        came = await bench.entries(prompt, "headers", STORM, COME_S)
        if len([entry for entry in came if entry.reached("headers")]) < STORM:
            return not_begun(bench, STORM)
        if not rows(bench.database(server)):
            return f"{STORM} clients: {NO_ROW}"
    return None


async def database_down_costs_no_stream(bench: Bench) -> Verdict:
    """The database cannot be opened, or does not answer: do the streams come all the same?

    Rule: the client gets its whole answer. What it costs is the row, and WRITE_S of waiting.
    Source: https://sre.google/sre-book/addressing-cascading-failures/
    """
    nowhere = ServerOptions(env=(("DATABASE_URL", "sqlite+aiosqlite:////nowhere/usage.sqlite3"),))
    try:
        gone = await bench.ask(Script.answer("a", "b"), server=bench.shaped(nowhere))
    except ProcessError as exc:
        raised, line = tracebacks.last_in(str(exc), Path(bench.target.name))
        finding = f"it cannot be opened: the server does not start: {raised or 'it says nothing'}"
        return Verdict("red", finding, (f"✗ {line}",) if line else ())
    server = bench.shaped(HELD)
    async with busy(bench.database(server)):
        held = await bench.ask(Script.answer("a", "b"), server=server)
    return judge(
        {
            "it cannot be opened": bench.in_time(gone.client, _lost(gone)),
            "it does not answer": bench.in_time(held.client, _lost(held)),
        },
        "the answers came, whole",
        {"it cannot be opened": gone.timeline, "it does not answer": held.timeline},
    )


def _lost(answer: Answer) -> str | None:
    client = answer.client
    if client.ended == "clean" and answer.told.text == "ab" and answer.told.kinds[-1] == "done":
        return None
    return f"status {client.status}, told {answer.told.kinds}"
