"""Labels for what passes in one gap of a swimlane, so that none lies over another.

Things that pass at nearly the same time share a label, as many as must so that two levels of
labels are enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.lab.pictures.canvas import Clock, shortened, width_px
from stages.lab.pictures.story import Kind, Passing

LABEL_PT = 9.0
LEVELS = 2
WORD_PX = 110  # a token is a word; what is longer loses its middle
ASIDE_PX, APART_PX = 6, 8  # from the arrow, and from the label before
NEAR_PX = (3, 8, 16, 30, 45, 60, 90, 130, 200, 1000)  # tried in this order; the last is all
WEIGHT: tuple[Kind, ...] = ("error", "done", "leave", "token", "burst", "raw", "ping", "other")


@dataclass(frozen=True)
class Label:
    """Words beside an arrow, or over the middle of many. `kind` is what matters most among them."""

    x: float
    level: int
    words: str
    kind: Kind

    @property
    def width_px(self) -> float:
        """The room that the words take."""
        return width_px(self.words, LABEL_PT)


def labels(passed: Sequence[Passing], clock: Clock, edge_px: float) -> list[Label]:
    """Return labels for all that passed, none of them beyond the edge."""
    placed: list[Label] = []
    for near_px in NEAR_PX:
        placed = list(_placed(_groups(passed, clock, near_px), clock, edge_px))
        if all(label.level < LEVELS for label in placed):
            break
    return placed


def _placed(groups: Iterator[list[Passing]], clock: Clock, edge_px: float) -> Iterator[Label]:
    taken = [-float(APART_PX)] * LEVELS
    for group in groups:
        words, kind = _summary(group)
        words = shortened(words, edge_px, LABEL_PT)  # a dozen errors at one moment are too wide
        width = width_px(words, LABEL_PT)
        start, end = clock.x(group[0].at_s), clock.x(group[-1].at_s)
        beside = end + ASIDE_PX if end - start < width else (start + end - width) / 2
        x = min(beside, edge_px - width)
        free = [level for level in range(LEVELS) if taken[level] + APART_PX <= x]
        yield Label(x, free[0] if free else LEVELS, words, kind)
        if not free:
            return
        taken[free[0]] = x + width


def _groups(passed: Sequence[Passing], clock: Clock, near_px: float) -> Iterator[list[Passing]]:
    """Yield runs in which each is no farther than that from the one before."""
    group: list[Passing] = []
    for passing in passed:
        if group and clock.x(passing.at_s) - clock.x(group[-1].at_s) > near_px:
            yield group
            group = []
        group.append(passing)
    if group:
        yield group


def _summary(group: Sequence[Passing]) -> tuple[str, Kind]:
    """Return one label for a group, and the kind of what matters most in it."""
    named: dict[Kind, list[str]] = {}
    for passing in group:
        named.setdefault(passing.kind, []).append(passing.what)
    if len(named) > 1:
        named.pop("other", None)
    words = [_counted(kind, whats) for kind, whats in named.items()]
    return ", ".join(words), min(named, key=WEIGHT.index)


def _counted(kind: Kind, whats: list[str]) -> str:
    if kind not in ("token", "burst", "ping") or len(whats) == 1:
        return ", ".join(shortened(what, WORD_PX, LABEL_PT) for what in whats)
    return f"{len(whats):,} {kind}s"
