"""Accounts: what a server wrote is read from outside, and nothing is read that is not there."""

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from stages.lab.bench.accounts import Row, busy, exists, final, holds, is_free, rows, wait

TABLE = (
    "CREATE TABLE usage (id TEXT, status TEXT, ended_at TEXT, prompt_tokens INT, "
    "completion_tokens INT, source TEXT)"
)
DONE = Row("a", "completed", "2026-11-20 12:00:00", 7, 2, "provider")
OPEN = Row("b", "streaming", None, None, None, None)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "usage.sqlite3"


def write(database: Path, *found: Row) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(TABLE)
        for row in found:
            values = tuple(vars(row).values())
            connection.execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)", values)
    connection.close()


def test_rows_come_as_they_were_written(database: Path) -> None:
    write(database, DONE, OPEN)

    assert rows(database) == [DONE, OPEN]


def test_where_there_is_no_file_there_is_no_row_and_none_is_made(database: Path) -> None:
    assert rows(database) == []
    assert not exists(database)


@pytest.mark.parametrize("statement", ["CREATE TABLE other (id)", "CREATE TABLE usage (id)"])
def test_where_there_is_no_such_table_or_column_there_is_no_row(
    database: Path, statement: str
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()

    assert rows(database) == []


def test_a_row_is_final_when_it_has_an_end() -> None:
    assert DONE.final
    assert not OPEN.final


@pytest.mark.parametrize(
    ("found", "enough"),
    [([DONE], True), ([OPEN], False), ([DONE, OPEN], False), ([], False)],
)
def test_enough_is_as_many_as_asked_for_and_all_of_them_final(
    found: list[Row], enough: bool
) -> None:
    assert final(1)(found) == enough


def test_a_wait_ends_at_its_deadline_with_what_there_is(database: Path) -> None:
    write(database, OPEN)

    assert asyncio.run(wait(database, final(1), 0.05)) == [OPEN]


def test_a_text_is_found_in_any_column(database: Path) -> None:
    write(database, Row("a", "kookaburra", None, None, None, None))

    assert holds(database, "kookaburra")
    assert not holds(database, "magpie")


def test_nothing_is_held_where_there_is_no_file(database: Path) -> None:
    assert not holds(database, "")


def test_a_database_that_is_busy_is_not_free_and_then_it_is(database: Path) -> None:
    write(database)

    async def look() -> bool:
        async with busy(database):
            return is_free(database, 0.05)

    assert not asyncio.run(look())
    assert is_free(database, 0.05)


def test_a_database_stays_busy_for_the_time_that_was_asked_for(database: Path) -> None:
    async def hold() -> float:
        begun_s = time.monotonic()
        async with busy(database, 0.2):
            pass
        return time.monotonic() - begun_s

    assert asyncio.run(hold()) >= 0.2
