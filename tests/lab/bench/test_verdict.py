"""A verdict is green only when every case that was tried holds, and shows what did not."""

import pytest

from stages.lab.bench.verdict import Late, Moment, State, Verdict, complain, judge

FIRST = (Moment(0.0, "client", "asks"),)
SECOND = (Moment(0.5, "upstream", "sees fin"),)


def test_no_complaint_is_green_with_what_holds() -> None:
    verdict = judge({"a": None, "b": None}, "all held", {"a": FIRST, "b": SECOND})

    assert verdict == Verdict("green", "all held", ("✓ a", "✓ b"), FIRST)


def test_one_complaint_is_red_with_the_case_that_failed() -> None:
    verdict = judge({"a": None, "b": "was cut"}, "all held", {"a": FIRST, "b": SECOND})

    assert verdict == Verdict(
        "red", "b: was cut (1 of 2 cases fail)", ("✓ a", "✗ b: was cut"), SECOND
    )


def test_an_empty_complaint_is_one_all_the_same() -> None:
    assert not judge({"a": ""}, "all held", {}).green


def test_of_several_complaints_the_first_is_the_finding() -> None:
    verdict = judge({"a": "is late", "b": None, "c": "was cut"}, "all held", {})

    assert verdict.finding == "a: is late (2 of 3 cases fail)"


def test_a_single_case_is_not_counted() -> None:
    assert judge({"a": "is late"}, "it held", {}).finding == "a: is late"


def test_a_case_without_a_timeline_shows_the_first_there_is() -> None:
    assert judge({"a": None, "b": "was cut"}, "all held", {"": FIRST}).timeline == FIRST


def test_there_may_be_no_timeline_at_all() -> None:
    assert judge({"a": "was cut"}, "all held", {}).timeline == ()


def test_no_case_is_no_verdict() -> None:
    with pytest.raises(ValueError, match=r"^A verdict needs a case\. Probably a probe filters"):
        judge({}, "all held", {})


@pytest.mark.parametrize(
    ("state", "words"), [("green", "✓ it is"), ("red", "✗ it is"), ("unmeasured", "? it is")]
)
def test_a_verdict_reads_as_its_mark_and_its_finding(state: State, words: str) -> None:
    assert str(Verdict(state, "it is")) == words


@pytest.mark.parametrize("state", ["green", "red", "unmeasured"])
def test_a_verdict_is_one_of_three(state: State) -> None:
    verdict = Verdict(state, "")

    assert [verdict.green, verdict.red, not verdict.measured].count(True) == 1


QUIET = Late("it came late", 1.0, taken_s=0.1)
BUSY = Late("it came late", 1.0, taken_s=0.6)


def test_a_lateness_on_a_quiet_machine_is_red() -> None:
    assert judge({"a": QUIET}, "it held") == Verdict(
        "red", "a: it came late", ("✗ a: it came late",)
    )


def test_a_lateness_is_not_measured_where_the_machine_took_half_of_the_bound() -> None:
    verdict = judge({"a": None, "b": BUSY}, "all held", {"a": FIRST, "b": SECOND})

    assert verdict == Verdict(
        "unmeasured",
        "not measured, this machine was busy (woken 0.6 s late): it came late",
        ("✓ a", "? b: it came late"),
        SECOND,
    )


@pytest.mark.parametrize("sure", ["a token is lost", QUIET], ids=["a fact", "a real lateness"])
def test_what_is_sure_is_red_however_busy_the_machine_is(sure: str | Late) -> None:
    verdict = judge({"a": BUSY, "b": sure}, "all held", {"a": FIRST, "b": SECOND})

    assert verdict.state == "red"
    assert verdict.finding == f"b: {sure} (2 of 2 cases fail)"
    assert verdict.timeline == SECOND


@pytest.mark.parametrize(("complaint", "state"), [("lost", "red"), (BUSY, "unmeasured")])
def test_a_probe_that_cannot_go_on_says_why(complaint: str | Late, state: State) -> None:
    assert complain(complaint).state == state


def test_a_moment_reads_in_columns() -> None:
    assert [str(moment) for moment in (*FIRST, *SECOND)] == [
        "   0.000 s  client    asks",
        "   0.500 s  upstream  sees fin",
    ]
