"""A diff shows what changed between two stages: truly, and so that a person can read it."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages import catalog
from stages.lab import diffs
from stages.lab.processes.targets import TargetError

# Few kinds of line, so that they repeat: repetition is what makes a diff hard to lay out.
LINES = st.lists(st.sampled_from(["", "    x", "def a():", "def b():", "class C:", "@app", "y"]))
thorough = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, max_examples=150
)


def text_of(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def between(old: list[str], new: list[str]) -> str:
    """Return the diff between two files with these lines."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "old.py"), Path(folder, "new.py")]
        for file, lines in zip(files, (old, new), strict=True):
            file.write_text(text_of(lines), encoding="utf-8")
        return diffs.unified(*map(str, files))


def body(diff: str) -> list[str]:
    """Return the lines of a diff without the names of the files and the heads of the hunks."""
    return [line for line in diff.splitlines()[2:] if not line.startswith("@@")]


def applied(diff: str, old: list[str]) -> list[str]:
    """Return the new lines, as `patch` makes them; fail where the diff does not fit the old."""
    new: list[str] = []
    at = 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            start, _ = line.split()[1].removeprefix("-").split(",")
            new += old[at : int(start) - 1]
            at = int(start) - 1
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[at] == line[1:], f"line {at + 1} is {old[at]!r}, the diff says {line[1:]!r}"
            new += [line[1:]] * line.startswith(" ")
            at += 1
    return new + old[at:]


def counted(diff: str) -> list[tuple[int, int]]:
    """Return how many old and new lines each hunk has, by its lines."""
    hunks: list[tuple[int, int]] = []
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            hunks.append((0, 0))
        else:
            old, new = hunks[-1]
            hunks[-1] = (old + (line[0] in " -"), new + (line[0] in " +"))
    return hunks


def told(diff: str) -> list[tuple[int, int]]:
    """Return how many old and new lines each hunk has, by its head."""
    heads = [line.split() for line in diff.splitlines() if line.startswith("@@")]
    return [(int(old.split(",")[1]), int(new.split(",")[1])) for _, old, new, _ in heads]


# What it says is true.


@thorough
@given(old=LINES, new=LINES)
def test_a_diff_makes_the_new_file_of_the_old_one(old: list[str], new: list[str]) -> None:
    old, new = [*old, "end"], [*new, "end"]

    assert applied(between(old, new), old) == new or old == new


@thorough
@given(old=LINES, new=LINES)
def test_the_head_of_a_hunk_counts_its_lines(old: list[str], new: list[str]) -> None:
    diff = between([*old, "end"], [*new, "end"])

    assert told(diff) == counted(diff)


def test_the_size_of_a_stage_is_that_of_its_diff() -> None:
    lines = body(diffs.unified("s01_naive", "s02_json_safe"))

    size = diffs.size("s01_naive", "s02_json_safe")

    assert (size.added, size.removed) == (
        sum(line.startswith("+") for line in lines),
        sum(line.startswith("-") for line in lines),
    )


def test_the_size_counts_the_lines_of_the_module_docstring() -> None:
    assert diffs.size("s02_json_safe", "s02_raise_after_error") == diffs.Size(added=5, removed=4)


def test_a_size_reads_like_a_diffstat() -> None:
    assert str(diffs.Size(added=80, removed=16)) == "+80 -16"


def test_a_file_does_not_differ_from_itself() -> None:
    assert diffs.unified("s01_naive", "s01_naive") == ""


@pytest.mark.parametrize("stage", catalog.STAGES[1:], ids=lambda stage: stage.stem)
def test_the_diff_of_a_stage_makes_the_stage_of_its_base(stage: catalog.Stage) -> None:
    assert stage.base is not None

    diff = diffs.unified(stage.base, stage.stem)

    assert applied(diff, diffs.lines(stage.base)) == diffs.lines(stage.stem)


def test_a_line_separator_of_unicode_ends_no_line() -> None:
    diff = between(["a", "end"], ["a\u2028b", "end"])

    assert "+a\u2028b\n" in diff


# How it reads.


def test_a_diff_names_both_files_as_the_checkout_has_them() -> None:
    diff = diffs.unified("s02_json_safe", "s02_done_in_finally")

    assert diff.splitlines()[:2] == [
        "--- stages/s02_json_safe.py",
        "+++ stages/wrong_turns/s02_done_in_finally.py",
    ]


def test_a_diff_holds_nothing_that_changes_from_day_to_day() -> None:
    names = diffs.unified("s01_naive", "s02_json_safe").splitlines()[:2]

    assert not any("\t" in name or ":" in name for name in names)


def test_a_change_has_three_lines_of_context_on_both_sides() -> None:
    lines = [str(number) for number in range(20)]

    diff = between(lines, [*lines[:10], "new", *lines[10:]])

    assert body(diff) == [" 7", " 8", " 9", "+new", " 10", " 11", " 12"]


def test_changes_that_are_far_apart_are_two_hunks() -> None:
    lines = [str(number) for number in range(20)]

    diff = between(lines, ["first", *lines[:18], "last", *lines[18:]])

    assert [line for line in diff.splitlines() if line.startswith("@@")] == [
        "@@ -1,3 +1,4 @@",
        "@@ -16,5 +17,6 @@",
    ]


def test_a_new_function_is_shown_whole_and_not_as_two_halves() -> None:
    first = ["def one():", "    return 1", "", ""]
    second = ["def two():", "    return 1", "", ""]
    third = ["def three():", "    return 3"]

    diff = between([*first, *third], [*first, *second, *third])

    assert [line for line in body(diff) if line.startswith("+")] == [f"+{line}" for line in second]


def test_a_new_route_begins_with_its_decorator() -> None:
    first = ["@app.get", "def one():", "    return 1", "", ""]
    second = ["@app.get", "def two():", "    return 2", "", ""]
    third = ["@app.get", "def three():", "    return 3"]

    diff = between([*first, *third], [*first, *second, *third])

    assert [line for line in body(diff) if line.startswith("+")] == [f"+{line}" for line in second]


def test_an_old_function_stands_beside_the_new_one_of_its_name() -> None:
    old = ["def events(old):", "    return old", "end"]
    new = ["class Message:", "    role = 1", "", "", "def events(new):", "    return new", "end"]

    assert body(between(old, new)) == [
        "+class Message:",
        "+    role = 1",
        "+",
        "+",
        "-def events(old):",
        "-    return old",
        "+def events(new):",
        "+    return new",
        " end",
    ]


def test_a_line_that_is_frequent_in_a_long_file_still_counts_as_equal() -> None:
    frequent = ["x = 1"] * 300  # from 200 lines on, difflib ignores what is so frequent

    diff = between(["old", *frequent], ["new", *frequent])

    assert body(diff) == ["-old", "+new", *[" x = 1"] * 3]


def test_markdown_is_a_fence_that_github_colours() -> None:
    diff = diffs.unified("s01_naive", "s02_json_safe")

    assert diffs.markdown("s01_naive", "s02_json_safe") == f"```diff\n{diff}```\n"


# What it can be asked.


def test_a_stage_has_a_number_too() -> None:
    assert diffs.unified(1, "2") == diffs.unified("s01_naive", "s02_json_safe")


def test_a_file_of_the_learners_own_can_be_compared(tmp_path: Path) -> None:
    own = tmp_path / "s02.py"
    own.write_text(text_of([*diffs.lines("s01_naive"), "mine = 1"]))

    assert diffs.size("s01_naive", str(own)) == diffs.Size(added=1, removed=0)


def test_a_name_that_is_nothing_is_refused_with_what_there_is() -> None:
    with pytest.raises(TargetError, match="'s99' is no stage and no file"):
        diffs.unified("s01_naive", "s99")
