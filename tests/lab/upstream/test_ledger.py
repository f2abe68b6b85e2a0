"""The ledger keeps what happened to each request, and whoever waits for it wakes when it has."""

import asyncio
import json
import time
from typing import get_args

import pytest

from stages.lab.upstream.ledger import (
    KINDS,
    SENT_KEPT,
    End,
    Entry,
    Leave,
    Ledger,
    Milestone,
    Query,
    Sent,
    SentKind,
)
from stages.lab.upstream.script import STEPS, Cut, Firehose, Pause, Raw, Step, Token

DEADLINE_S = 20.0  # nothing here takes a millisecond; the rest is for a busy machine


def opened(ledger: Ledger, script: str | None = None) -> Entry:
    return ledger.open(script, {"model": "m"}, {"x-a": "b"})


# An entry.


def test_an_entry_survives_json() -> None:
    entry = opened(Ledger(), "name")
    entry.start(1.0)
    entry.note(Sent(1.5, "token", "a\ud83d"))
    entry.leave("fin", 2.0)

    assert Entry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_every_step_that_sends_one_chunk_has_a_kind_of_its_own() -> None:
    send_none_or_many = {Pause, Cut, Firehose}

    assert set(KINDS) == set(STEPS.values()) - send_none_or_many
    assert len({*KINDS.values(), "headers", "burst"}) == len(get_args(SentKind)) == len(KINDS) + 2


@pytest.mark.parametrize("step", [Token("a"), Raw("a")])
def test_a_token_and_a_raw_step_are_kept_with_their_text(step: Step) -> None:
    assert Sent.of(step, 1.5).text == "a"


def test_a_new_entry_has_come_to_nothing_but_itself() -> None:
    entry = opened(Ledger())

    reached = {
        milestone: entry.reached(milestone)
        for milestone in ("received", "headers", "ended", "left")
    }
    assert reached == {"received": True, "headers": False, "ended": False, "left": False}


def test_entries_are_numbered_in_the_order_of_the_requests() -> None:
    ledger = Ledger()

    assert [opened(ledger).id for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("how", ["complete", "cut", "refused"])
def test_an_end_is_kept_with_its_time(how: End) -> None:
    entry = opened(Ledger())

    entry.end(how, 7.5)

    assert (entry.ended, entry.ended_s, entry.left) == (how, 7.5, None)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_leave_is_kept_with_its_time(how: Leave) -> None:
    entry = opened(Ledger())

    entry.leave(how, 7.5)

    assert (entry.left, entry.left_s, entry.ended) == (how, 7.5, None)


def test_the_first_steps_are_kept_and_a_firehose_stays_cheap() -> None:
    entry = opened(Ledger())

    for i in range(10 * SENT_KEPT):
        entry.note(Sent(0.0, "token", str(i)))

    assert [sent.text for sent in entry.sent] == [str(i) for i in range(SENT_KEPT)]


# Waiting.


def test_a_wait_for_nothing_returns_what_there_is() -> None:
    ledger = Ledger()
    entry = opened(ledger)

    assert asyncio.run(ledger.wait(None, "left", 0, 0)) == [entry]


def test_a_wait_returns_the_entries_of_its_script_only() -> None:
    ledger = Ledger()
    mine = opened(ledger, "mine")
    opened(ledger, "other")
    opened(ledger, None)

    assert asyncio.run(ledger.wait("mine", "received", 1, DEADLINE_S)) == [mine]


def test_a_wait_without_a_script_returns_all_entries() -> None:
    ledger = Ledger()
    entries = [opened(ledger, "mine"), opened(ledger, None)]

    assert asyncio.run(ledger.wait(None, "received", 2, DEADLINE_S)) == entries


@pytest.mark.parametrize("milestone", ["received", "headers", "ended", "left"])
def test_a_wait_ends_when_enough_have_come_so_far(milestone: Milestone) -> None:
    ledger = Ledger()

    async def wait_for_two() -> list[bool]:
        waiting = asyncio.create_task(ledger.wait("s", milestone, 2, DEADLINE_S))
        ended = []
        for _ in range(2):
            advance(opened(ledger, "s"), milestone)
            await settle()
            ended.append(waiting.done())
        await waiting
        return ended

    assert asyncio.run(wait_for_two()) == [False, True]


def test_what_happens_to_another_script_ends_no_wait() -> None:
    ledger = Ledger()

    async def wait_while_others_come() -> bool:
        waiting = asyncio.create_task(ledger.wait("s", "received", 1, DEADLINE_S))
        for _ in range(3):
            opened(ledger, "other")
            await settle()
        ended = waiting.done()
        opened(ledger, "s")
        await waiting
        return ended

    assert not asyncio.run(wait_while_others_come())


def test_a_wait_ends_at_its_deadline_with_what_there_is() -> None:
    ledger = Ledger()
    entry = opened(ledger, "s")

    start_s = time.monotonic()
    entries = asyncio.run(ledger.wait("s", "ended", 1, 0.05))

    assert entries == [entry]
    assert time.monotonic() - start_s > 0.04  # a clock may be that coarse


def test_several_waits_end_each_at_its_own_condition() -> None:
    ledger = Ledger()

    async def wait_for_each() -> list[list[bool]]:
        milestones: list[Milestone] = ["received", "headers", "ended"]
        waits = [asyncio.create_task(ledger.wait("s", m, 1, DEADLINE_S)) for m in milestones]
        await settle()
        seen = []
        entry = opened(ledger, "s")
        for milestone in milestones:
            advance(entry, milestone)
            await settle()
            seen.append([wait.done() for wait in waits])
        await asyncio.gather(*waits)
        return seen

    assert asyncio.run(wait_for_each()) == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_hundred_waits_for_the_same_all_end() -> None:
    ledger = Ledger()

    async def wait_together() -> list[list[Entry]]:
        waits = [asyncio.create_task(ledger.wait("s", "left", 1, DEADLINE_S)) for _ in range(100)]
        await settle()
        opened(ledger, "s").leave("rst", 7.5)
        return await asyncio.gather(*waits)

    assert asyncio.run(wait_together()) == [ledger.entries] * 100


def advance(entry: Entry, milestone: Milestone) -> None:
    """Bring an entry to a milestone."""
    if milestone == "headers":
        entry.start(7.5)
    elif milestone == "ended":
        entry.end("complete", 7.5)
    elif milestone == "left":
        entry.leave("fin", 7.5)


async def settle() -> None:
    """Let every task run that has something to do: a wake-up takes two turns of the loop."""
    for _ in range(10):
        await asyncio.sleep(0)


# A query, as the address of a request has it.


def test_a_query_says_what_to_wait_for() -> None:
    query = Query.from_url("script=a.b-1&until=left&count=2&deadline_s=1.5")

    assert query == Query("a.b-1", "left", 2, 1.5)


def test_an_empty_query_asks_for_all_there_is() -> None:
    assert Query.from_url("") == Query(None, "received", 0, 0.0)


@pytest.mark.parametrize("text", ["until=", "count=", "count=1.5", "deadline_s=-1", "x=1"])
def test_a_query_that_cannot_be_answered_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Query has (no field|until=|count=|deadline_s=)"):
        Query.from_url(text)
