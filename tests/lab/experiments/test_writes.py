"""`writes` tells of each way to write a row whether it is there after a leave or a stop.

These are the facts that the notebook of stage 5 prints.
"""

import asyncio
import re

import pytest

from stages.lab.experiments.ways_to_write import BACKGROUND, DEPENDENCY, WAYS, WRITE_S
from stages.lab.experiments.writes import Left, NotMeasured, Written, measure

PLAIN, SHIELD = "await write()", "await asyncio.shield(write())"
AGAIN, LOOP = "shield, and await again", "shield, in a loop"
SCOPE = "anyio.move_on_after(5, shield=True)"
TASK, KEPT = "create_task(write())", "create_task(write()), kept in a set"


@pytest.fixture(scope="module")
def measured() -> dict[str, Written]:
    return asyncio.run(measure())


def test_every_way_is_measured(measured: dict[str, Written]) -> None:
    assert tuple(measured) == WAYS
    assert set(WAYS) == {PLAIN, SHIELD, AGAIN, LOOP, SCOPE, TASK, KEPT, BACKGROUND, DEPENDENCY}


# The client leaves.


@pytest.mark.parametrize("way", WAYS)
def test_after_a_leave_the_row_is_there_unless_the_write_itself_was_cancelled(
    measured: dict[str, Written], way: str
) -> None:
    assert (measured[way].left.row_s is not None) is (way not in (PLAIN, AGAIN))


@pytest.mark.parametrize("way", WAYS)
def test_after_a_leave_the_line_after_the_write_runs_unless_the_wait_was_cancelled(
    measured: dict[str, Written], way: str
) -> None:
    assert (measured[way].left.after_s is not None) is (way not in (PLAIN, SHIELD, AGAIN))


@pytest.mark.parametrize("way", [SHIELD, LOOP, SCOPE, TASK, KEPT, BACKGROUND, DEPENDENCY])
def test_the_row_is_there_when_the_write_has_taken_its_time(
    measured: dict[str, Written], way: str
) -> None:
    row_s = measured[way].left.row_s

    assert row_s is not None
    assert WRITE_S <= row_s < 10 * WRITE_S  # the rest is for a busy machine


@pytest.mark.parametrize("way", [LOOP, SCOPE, BACKGROUND, DEPENDENCY])
def test_where_the_write_is_awaited_the_line_after_it_runs_after_the_row(
    measured: dict[str, Written], way: str
) -> None:
    left = measured[way].left

    assert left.row_s is not None
    assert left.after_s is not None
    assert left.after_s >= left.row_s


@pytest.mark.parametrize("way", [TASK, KEPT])
def test_where_a_task_writes_the_line_after_it_does_not_wait_for_the_row(
    measured: dict[str, Written], way: str
) -> None:
    after_s = measured[way].left.after_s

    assert after_s is not None
    assert after_s < WRITE_S


def test_a_loop_around_a_shield_is_woken_thousands_of_times(measured: dict[str, Written]) -> None:
    assert measured[LOOP].left.wake_ups > 1000  # measured: 20,000, and a tenth of it when busy


# The server is stopped.


@pytest.mark.parametrize("way", WAYS)
def test_after_a_stop_that_waits_for_nothing_there_is_no_row(
    measured: dict[str, Written], way: str
) -> None:
    assert not measured[way].hasty


@pytest.mark.parametrize("way", WAYS)
def test_after_a_stop_that_waits_the_row_is_there_where_somebody_can_be_waited_for(
    measured: dict[str, Written], way: str
) -> None:
    assert measured[way].patient is (way in (LOOP, SCOPE, KEPT, DEPENDENCY))


def test_the_facts_are_without_times() -> None:
    written = Written(Left(row_s=0.3, after_s=None, wake_ups=0), hasty=False, patient=True)

    assert written.facts == (True, False, False, True)


# What cannot be measured.


def test_a_way_that_is_none_is_explained() -> None:
    with pytest.raises(NotMeasured) as caught:
        asyncio.run(measure("prayer"))

    assert re.match(
        r"The stream of 'prayer' did not begin: the app answered with status 500\. Probably it is "
        r"none of the ways\. There are: await write\(\), .*await write\(\) in a dependency\. ",
        str(caught.value),
    )
