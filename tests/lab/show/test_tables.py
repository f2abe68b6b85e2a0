"""`tables` says the same on every run, in Markdown that shows every character as it is."""

from stages.lab.bench.verdict import Moment
from stages.lab.show import tables
from tests.helpers.pictures import cell

RED = cell(
    "text-survives",
    "s01_naive",
    False,
    r"line feeds: sent 'a\nb', got 'a' (1 of 2 cases fail)",
    details=(r"✗ line feeds: sent 'a\nb', got 'a'", "✓ [DONE] in the text"),
)
GREEN = cell("silence-is-bridged", "s01_naive", True, "comments came in each silence")


def test_a_table_has_a_row_for_each_cell() -> None:
    assert tables.verdicts([RED, GREEN])._repr_markdown_().splitlines() == [
        "|  | probe | finding |",
        "| --- | --- | --- |",
        r"| ✗ | text-survives | line feeds: sent 'a\\nb', got 'a' (1 of 2 cases fail) |",
        "| ✓ | silence-is-bridged | comments came in each silence |",
    ]


def test_in_plain_text_the_columns_are_aligned() -> None:
    assert repr(tables.verdicts([RED, GREEN])).splitlines() == [
        r"✗  text-survives       line feeds: sent 'a\nb', got 'a' (1 of 2 cases fail)",
        "✓  silence-is-bridged  comments came in each silence",
    ]


def test_a_table_of_several_servers_names_them() -> None:
    other = cell("text-survives", "s02_json_safe", True, "it held")

    shown = tables.verdicts([RED, other])

    assert shown.markdown.splitlines()[0] == "|  | server | probe | finding |"
    assert shown.markdown.splitlines()[3] == r"| ✓ | s02\_json\_safe | text-survives | it held |"
    assert shown.plain.splitlines()[1] == "✓  s02_json_safe  text-survives  it held"


def test_a_verdict_that_was_not_expected_says_so() -> None:
    surprise = cell("text-survives", "s02_json_safe", False, "it broke", expected=True)

    assert repr(tables.verdicts([surprise])) == (
        "✗  text-survives  it broke (not expected: it should be ✓)"
    )


def test_no_cells_are_an_empty_table() -> None:
    shown = tables.verdicts([])

    assert (shown.markdown.count("\n"), shown.plain) == (1, "")


def test_markdown_keeps_every_character_of_a_finding() -> None:
    odd = cell("p", "s01_naive", False, r"got '|' and `<b>` and **x** and $y$ and &amp; and \n ~~")

    assert tables.verdicts([odd]).markdown.splitlines()[2] == (
        r"| ✗ | p | got '\|' and \`\<b\>\` and \*\*x\*\* and \$y\$ and \&amp; and \\n \~\~ |"
    )


def test_a_row_stays_one_line_whatever_it_quotes() -> None:
    odd = cell("p", "s01_naive", False, "a\nb\u2028c")

    assert tables.verdicts([odd]).plain == "✗  p  a\\nb\\u2028c"


def test_evidence_is_the_finding_and_then_every_case() -> None:
    assert repr(tables.evidence(RED)).splitlines() == [
        r"✗ text-survives on s01_naive: line feeds: sent 'a\nb', got 'a' (1 of 2 cases fail)",
        r"  ✗ line feeds: sent 'a\nb', got 'a'",
        "  ✓ [DONE] in the text",
    ]


def test_evidence_is_a_markdown_list() -> None:
    assert tables.evidence(RED)._repr_markdown_().splitlines() == [
        r"**✗ text-survives** on s01\_naive: line feeds: sent 'a\\nb', got 'a' (1 of 2 cases fail)",
        "",
        r"- ✗ line feeds: sent 'a\\nb', got 'a'",
        r"- ✓ \[DONE\] in the text",
    ]


def test_evidence_without_cases_is_the_finding() -> None:
    assert repr(tables.evidence(GREEN)) == (
        "✓ silence-is-bridged on s01_naive: comments came in each silence"
    )
    assert not tables.evidence(GREEN).markdown.endswith("\n")


def test_a_timeline_is_a_line_for_each_moment() -> None:
    moments = [Moment(0.0, "client", "sends the request"), Moment(0.25, "upstream", "sends 'a'")]

    assert tables.timeline(moments).markdown.splitlines() == [
        "```text",
        "   0.000 s  client    sends the request",
        "   0.250 s  upstream  sends 'a'",
        "```",
    ]


def test_a_verdict_without_a_timeline_says_so() -> None:
    assert repr(tables.timeline([])) == "nothing was recorded"


def test_a_moment_stays_one_line_whatever_came() -> None:
    assert tables.timeline([Moment(0.0, "client", "message a\nb")]).plain.endswith(r"message a\nb")


def test_a_long_timeline_loses_its_middle() -> None:
    lines = tables.timeline([Moment(i, "client", "ping") for i in range(100)]).plain.splitlines()

    assert len(lines) == 40
    assert lines[30].strip() == "… 61 more"
    assert lines[31].strip().startswith("91.000 s")


def test_a_timeline_that_fits_is_whole() -> None:
    lines = tables.timeline([Moment(i, "client", "ping") for i in range(40)]).plain.splitlines()

    assert len(lines) == 40
    assert not any("more" in line for line in lines)
