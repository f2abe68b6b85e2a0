"""Until waits as long as it must, and says at its deadline what it has waited for and seen."""

import re

import pytest

from tests.helpers.until import until


def test_what_holds_at_once_is_returned_also_where_there_is_no_time() -> None:
    assert until(lambda: 1, bool, "number", deadline_s=0) == 1


def test_it_looks_again_until_the_condition_holds() -> None:
    numbers = iter(range(10))

    assert until(lambda: next(numbers), lambda number: number == 3, "three") == 3


def test_at_the_deadline_it_says_what_it_waited_for_and_what_it_saw_last() -> None:
    told = "There was no line of the log that begins with 'ended' in 0.05 s. Seen last: ['begun']"

    with pytest.raises(AssertionError, match=re.escape(told)):
        until(
            lambda: ["begun"],
            lambda _: False,
            "line of the log that begins with 'ended'",
            deadline_s=0.05,
        )
