"""Diffs: what changed between two stages, laid out so that a person can read it.

The lines are compared as `difflib` does, with three changes, none of which alters what the diff
says, only where it puts it:

- every line counts, also one that occurs often (difflib's "autojunk" drops those of long files);
- a run of new lines that can slide stands where a block begins, so that a new function is shown as
  that function and not as the end of one and the head of the next;
- an old definition stands beside the new one of the same name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from stages.lab.checkout import ROOT
from stages.lab.processes import targets

CONTEXT_LINES = 3

HEAD = re.compile(r"\s*(?:(?:async )?def|class) \w+")


@dataclass(frozen=True)
class Size:
    """How many lines a diff adds and removes, those of the module docstring included."""

    added: int
    removed: int

    def __str__(self) -> str:
        return f"+{self.added} -{self.removed}"


@dataclass(frozen=True)
class Change:
    """Lines `old` are replaced by lines `new`; both ranges count from 0, and either may be empty.

    `same` tells lines that are equal from lines that differ.
    """

    same: bool
    old: range
    new: range


def path_of(name: str | int) -> Path:
    """Return the file of a stage's number, a stem of the catalogue, or a path to a .py file.

    Raises TargetError.
    """
    place, _ = targets.split(targets.find(name).app)
    return Path(place) if place.endswith(".py") else ROOT / f"{place.replace('.', '/')}.py"


def unified(a: str | int, b: str | int) -> str:
    """Return the unified diff from `a` to `b`, which `patch` accepts; empty when they are equal.

    Both are a stage's number, a stem of the catalogue, or a path to a .py file; raises TargetError.
    """
    old, new = lines(a), lines(b)
    text = [f"--- {_label(a)}", f"+++ {_label(b)}"]
    for hunk in _hunks(compare(old, new)):
        first, last = hunk[0], hunk[-1]
        was, now = _span(first.old.start, last.old.stop), _span(first.new.start, last.new.stop)
        text.append(f"@@ -{was} +{now} @@")
        for change in hunk:
            marks = (" ", "") if change.same else ("-", "+")
            text += [marks[0] + old[i] for i in change.old]
            text += [marks[1] + new[i] for i in change.new if not change.same]
    return "".join(f"{line}\n" for line in text) if len(text) > 2 else ""


def size(a: str | int, b: str | int) -> Size:
    """Return how many lines the diff from `a` to `b` adds and removes.

    Every changed line counts, also blank ones and those of the module docstring.
    """
    changes = [change for change in compare(lines(a), lines(b)) if not change.same]
    return Size(sum(len(c.new) for c in changes), sum(len(c.old) for c in changes))


def markdown(a: str | int, b: str | int) -> str:
    """Return the unified diff as a fenced block, which notebooks and GitHub show in colour."""
    return f"```diff\n{unified(a, b)}```\n"


def compare(old: list[str], new: list[str]) -> list[Change]:
    """Return what became of all lines, in order: equal and changed ranges in turn."""
    opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changes = [Change(tag == "equal", range(i, j), range(k, m)) for tag, i, j, k, m in opcodes]
    changes = _slide(changes, old, new)
    return [part for change in changes for part in _side_by_side(change, old, new)]


def lines(name: str | int) -> list[str]:
    """Return the lines of a target's file; raises TargetError."""
    # Not splitlines(), which splits at U+2028 and more.
    return path_of(name).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _label(name: str | int) -> str:
    path = path_of(name)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def _span(start: int, stop: int) -> str:
    """Return a range of lines as a hunk's head has it; no file is empty, so no range is."""
    return f"{start + 1},{stop - start}"


def _hunks(changes: list[Change]) -> Iterator[list[Change]]:
    """Group the changes, each group with its lines of context; far ones stand apart."""
    hunk: list[Change] = []
    for change in changes:
        if not change.same:
            hunk.append(change)
            continue
        head, tail = _clip(change, 0, CONTEXT_LINES), _clip(change, -CONTEXT_LINES, None)
        if not any(not part.same for part in hunk):
            hunk = [tail]
        elif len(change.old) <= 2 * CONTEXT_LINES:
            hunk.append(change)
        else:
            yield [*hunk, head]
            hunk = [tail]
    if any(not part.same for part in hunk):
        last = hunk[-1]
        yield [*hunk[:-1], _clip(last, 0, CONTEXT_LINES)] if last.same else hunk


def _clip(change: Change, start: int, stop: int | None) -> Change:
    return Change(True, change.old[start:stop], change.new[start:stop])


def _slide(changes: list[Change], old: list[str], new: list[str]) -> list[Change]:
    """Move each run that only adds or only removes to where it reads best."""
    moved = list(changes)
    for i in range(1, len(moved) - 1):
        before, run, after = moved[i - 1 : i + 2]
        if not (before.same and after.same) or (run.old and run.new):
            continue
        lines, span = (new, run.new) if run.new else (old, run.old)
        by = _best_shift(lines, span, len(before.old), len(after.old))
        moved[i - 1] = Change(True, _stretch(before.old, 0, by), _stretch(before.new, 0, by))
        moved[i] = Change(False, _stretch(run.old, by, by), _stretch(run.new, by, by))
        moved[i + 1] = Change(True, _stretch(after.old, by, 0), _stretch(after.new, by, 0))
    return moved


def _stretch(span: range, start: int, stop: int) -> range:
    return range(span.start + start, span.stop + stop)


def _best_shift(lines: list[str], span: range, room_up: int, room_down: int) -> int:
    """Return by how many lines a run is best moved: down is positive, 0 is where it stands."""
    up = down = 0
    while up < room_up and lines[span.start - up - 1] == lines[span.stop - up - 1]:
        up += 1
    while down < room_down and lines[span.start + down] == lines[span.stop + down]:
        down += 1

    def reads_badly(by: int) -> tuple[bool, int, bool, int]:
        first, above = lines[span.start + by], span.start + by - 1
        starts_block = above < 0 or not lines[above].strip()
        indent = len(first) - len(first.lstrip())
        return not first.strip(), indent, not starts_block, -by

    return min(range(-up, down + 1), key=reads_badly)


def _side_by_side(change: Change, old: list[str], new: list[str]) -> Iterator[Change]:
    """Split a replacement before each definition that both sides have, in the same order."""
    was, now = change.old, change.new
    if change.same or not was or not now:
        yield change
        return
    heads_was, heads_now = _heads(old, was), _heads(new, now)
    matcher = SequenceMatcher(None, [*heads_was.values()], [*heads_now.values()], autojunk=False)
    places_was, places_now = [*heads_was], [*heads_now]
    i, k = was.start, now.start
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            at, to = places_was[block.a + step], places_now[block.b + step]
            if (at, to) != (i, k):
                yield Change(False, range(i, at), range(k, to))
            i, k = at, to
    yield Change(False, range(i, was.stop), range(k, now.stop))


def _heads(lines: list[str], span: range) -> dict[int, str]:
    """Return the definitions in a range: where each begins, and its indent and name."""
    found = {i: HEAD.match(lines[i]) for i in span}
    return {i: match[0] for i, match in found.items() if match}
