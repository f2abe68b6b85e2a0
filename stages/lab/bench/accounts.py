"""Accounts: the usage rows that a server under test has written, and what they should say.

The bench gives each server a SQLite file of its own. A row is what stage 5 says it is: table
`usage` with `id`, `status`, `ended_at`, `prompt_tokens`, `completion_tokens` and `source`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from stages.lab.processes.until import last_look

QUERY = "SELECT id, status, ended_at, prompt_tokens, completion_tokens, source FROM usage"


@dataclass(frozen=True)
class Row:
    """One usage row. It is final when it has `ended_at`."""

    id: str
    status: str
    ended_at: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    source: str | None

    @property
    def final(self) -> bool:
        """Whether the stream is over, as the row says."""
        return self.ended_at is not None


def exists(database: Path) -> bool:
    """Return whether the server has made its file."""
    return database.is_file()


def holds(database: Path, text: str) -> bool:
    """Return whether a text stands anywhere in the file: in a column that is not asked for, too."""
    return exists(database) and text.encode() in database.read_bytes()


def rows(database: Path) -> list[Row]:
    """Return all rows, in no order; none where there is no file or no such table."""
    if not exists(database):
        return []
    with closing(sqlite3.connect(database)) as connection:  # may have to roll a killed write back
        try:
            return [Row(*row) for row in connection.execute(QUERY)]
        except sqlite3.OperationalError as exc:
            if "no such" in str(exc):  # table, or column
                return []
            raise


Enough = Callable[[Sequence[Row]], bool]


async def wait(database: Path, enough: Enough, deadline_s: float) -> list[Row]:
    """Return all rows when they are enough, or the deadline is over."""

    async def look() -> list[Row]:
        return rows(database)

    return await last_look(look, enough, deadline_s)


def final(count: int) -> Enough:
    """Return a test whether so many rows are final, and no other is there."""
    return lambda found: len(found) == count and all(row.final for row in found)


def is_free(database: Path, deadline_s: float) -> bool:
    """Return whether another process can write within the deadline: no transaction is open."""
    with closing(sqlite3.connect(database, timeout=deadline_s, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True


@asynccontextmanager
async def busy(database: Path, for_s: float = 0.0) -> AsyncIterator[None]:
    """Let nobody else use a database in this context, and not before `for_s` have passed."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        rest = asyncio.create_task(asyncio.sleep(for_s))
        yield
        await rest
