"""A stand-in for the lab: commands tell what it says was measured, and nothing runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages import catalog
from stages.lab import probes
from stages.lab.bench.verdict import Verdict
from stages.lab.matrix.cells import Cell, OnCell
from stages.lab.processes.targets import Target

PROBES = [probe.name for probe in probes.all_probes()]
FAST = "usage-chunk-survives"  # takes 0.1 s, red on stage 1, green on stage 2


@dataclass
class Lab:
    """A stand-in for the lab: what it was asked to measure, and which cells come out wrong."""

    wrong: tuple[str, ...] = ()
    fails_after: int = 1_000_000
    failure: BaseException | None = None
    asked: tuple[Target, ...] = ()
    names: tuple[str, ...] = ()

    async def tour(
        self, targets: Sequence[Target], on_cell: OnCell, *, names: Sequence[str] = PROBES
    ) -> list[Cell]:
        self.asked, self.names = tuple(targets), tuple(names)
        cells: list[Cell] = []

        def told(cell: Cell) -> None:
            cells.append(cell)
            on_cell(cell)

        for target in targets:
            self.measure(target, names, told)
        return cells

    async def probe(self, target: Target, *names: str, on_cell: OnCell) -> list[Cell]:
        self.asked, self.names = (target,), names
        self.measure(target, names, on_cell)
        return []

    def measure(self, target: Target, names: Sequence[str], on_cell: OnCell) -> None:
        for name in names:
            if self.failure is not None and self.fails_after == 0:
                raise self.failure
            self.fails_after -= 1
            expected = None if target.stem is None else catalog.expected(name, target.stem)
            green = bool(expected) != (name in self.wrong)
            on_cell(
                Cell(
                    target.name,
                    name,
                    Verdict("green" if green else "red", f"of {name}"),
                    expected,
                    0.1,
                    "log",
                )
            )
