"""An outcome reads the same in a notebook and in a terminal, and breaks out of neither."""

from stages.lab.bench.verdict import Late
from stages.lab.exercises.outcome import NotYet, Outcome, not_measured, not_yet

FOUND = NotYet("parse([b'a'])", "[]", "['a']", "Section 9.2.6.", "b'a'\n  ^ byte 0")


def test_a_not_yet_has_a_row_for_each_thing_and_keeps_its_lines_together() -> None:
    assert repr(not_yet("parser", FOUND)) == (
        "✗ parser: not yet.\n"
        "  called    parse([b'a'])\n"
        "  got       []\n"
        "  expected  ['a']\n"
        "  at        b'a'\n"
        "              ^ byte 0\n"
        "  rule      Section 9.2.6."
    )


def test_a_notebook_shows_the_rows_as_they_stand() -> None:
    markdown = not_yet("parser", FOUND)._repr_markdown_()

    assert markdown.startswith("✗ **parser: not yet.**\n\n```text\n  called    parse([b'a'])\n")
    assert markdown.endswith("Section 9.2.6.\n```")


def test_backticks_in_a_row_do_not_end_the_block() -> None:
    markdown = Outcome("not yet", "a", "", (("got", "```"),))._repr_markdown_()

    assert markdown == "✗ **a: not yet.**\n\n````text\n  got  ```\n````"


def test_a_finding_is_no_markdown() -> None:
    assert "\\*" in Outcome("right", "a", "All *3*.")._repr_markdown_()


def test_what_the_learners_code_printed_is_shown_last() -> None:
    assert repr(Outcome("right", "a", "Yes.", printed="one\ntwo")) == (
        "✓ a: right. Yes.\n  printed  one\n           two"
    )


def test_a_notebook_shows_what_was_not_measured_as_neither_right_nor_wrong() -> None:
    late = Late("nothing, 3 s later", 3.0, 1.84)

    markdown = not_measured("parser", "parse([])", late)._repr_markdown_()

    assert markdown == (
        "? **parser: not measured.** This machine was too busy to tell. Try again.\n\n"
        "```text\n"
        "  called  parse([])\n"
        "  got     nothing, 3 s later (this machine was busy for 1.8 s)\n"
        "  do      Close what keeps this machine busy, and check again. "
        "It is neither right nor wrong.\n"
        "```"
    )
