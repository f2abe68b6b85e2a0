"""Accounting: what is asked of the rows of streams that have ended, and by when."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from stages.lab.bench.accounts import Enough, Row, exists, final, rows
from stages.lab.bench.bench import Bench
from stages.lab.bench.verdict import Complaint
from stages.lab.bench.witness import LOST_S
from stages.lab.processes.process import Process

FINAL_S = 1.0  # measured: 5 ms after the end of the stream; the rest is for a busy machine
NO_ROW = "there is no row"

Check = Callable[[Row], Complaint | None]


def says(status: str, source: str, tokens: int, prompt_tokens: int | None = None) -> Check:
    """Return a check of one final row."""

    def check(row: Row) -> Complaint | None:
        meant: dict[str, object] = {"status": status, "source": source}
        meant |= {"completion_tokens": tokens, "prompt_tokens": prompt_tokens}
        wrong = [
            f"{name} is {getattr(row, name)!r} instead of {value!r}"
            for name, value in meant.items()
            if getattr(row, name) != value
        ]
        return ", ".join(wrong) or None

    return check


async def one_row(
    bench: Bench, server: Process, before: list[Row], check: Check
) -> Complaint | None:
    """Return what is wrong with the row of a stream that has ended, once it is final."""
    database, since_s = bench.database(server), time.monotonic()
    if not exists(database):
        return NO_ROW  # nor will there be one: the table is made when the server starts
    found, final_s = await rows_until(bench, server, lambda all_: final(1)(since(before, all_)))
    wrong = complain_of(since(before, found), check)
    told = f"the row was final, but later than {FINAL_S:g} s after the end"
    return wrong or bench.witness.late(told, FINAL_S, since_s=since_s, came_s=final_s)


async def rows_until(
    bench: Bench, server: Process, enough: Enough, bound_s: float = FINAL_S
) -> tuple[list[Row], float | None]:
    """Look at a server's rows until they are enough; returns the last look, and when that was."""

    async def look() -> list[Row]:
        return rows(bench.database(server))

    return await bench.witness.see(look, enough, bound_s)


def since(before: Sequence[Row], after: Sequence[Row]) -> list[Row]:
    """Return the rows that have come since `before`."""
    known = {row.id for row in before}
    return [row for row in after if row.id not in known]


def complain_of(found: list[Row], check: Check) -> Complaint | None:
    """Return what is wrong with the rows of one stream."""
    if len(found) != 1:
        return f"the stream has {len(found)} rows instead of one" if found else NO_ROW
    if not found[0].final:
        still = f"the row still says {found[0].status!r} {FINAL_S + LOST_S:g} s after the end"
        return still if found[0].status == "streaming" else f"{still}, and its ended_at is NULL"
    return check(found[0])


def unfinished(found: list[Row], **wanted: int) -> Complaint | None:
    """Return what is wrong with the rows of a crowd; `wanted` is how many have each status."""
    if len(found) != (count := sum(wanted.values())):
        return f"there are {len(found)} rows of {count} streams"
    statuses = Counter(row.status if row.final else f"{row.status}, not final" for row in found)
    return None if statuses == wanted else f"the rows say {dict(statuses)}"
