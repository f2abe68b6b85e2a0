"""The commands that only read: the list of stages, and the diff between two."""

from rich.table import Table
from rich.text import Text

from stages import catalog
from stages.lab import diffs
from stages.lab.cli.console import PYTHON, UsageError, console, say, type_next
from stages.lab.processes.targets import find

COLOURS = {"+": "green", "-": "red", "@": "cyan"}
NEXT = {
    f"{PYTHON} tour": "every probe on every stage, and the staircase",
    f"{PYTHON} run 1": "serve a stage, with a curl line to try",
    f"{PYTHON} probe 1": "what is wrong with a stage, with evidence",
    f"{PYTHON} diff 1 2": "one fix, in colour",
    f"{PYTHON} exercise 2": "build a stage yourself",
    f"{PYTHON} progress": "which exercises are right, and which one is next",
    f"{PYTHON} doctor": "is this machine ready?",
    f"{PYTHON} --help": "all commands",
}


def stages() -> None:
    """Print the stages and what each one fixes, the wrong turns, and what to type next."""
    out = console()
    say(out, ("LLM streaming, stage by stage", "bold"))
    say(out, "Each stage is one file, and one fix further than the one before it.\n")
    out.print(_stages())
    say(out, "\nWrong turns are popular fixes that do not hold. They run too.\n")
    out.print(_wrong_turns())
    type_next(out, NEXT)


def _stages() -> Table:
    table = _table("stage", "what it claims, and what is new in it", "diff")
    for stage in catalog.STAGES:
        size = f"{len(diffs.lines(stage.stem))} lines"
        if stage.base is not None:
            size = str(diffs.size(stage.base, stage.stem))
        claim = Text.assemble((stage.title, "bold"), f"\n{stage.fix}")
        table.add_row(str(stage.number), stage.stem, claim, size)
    return table


def _wrong_turns() -> Table:
    table = _table("wrong turn", "what it does, and the probes that it fails", "diff")
    for turn in catalog.WRONG_TURNS:
        fails = Text.assemble(turn.mistake, ("\n✗ " + ", ".join(turn.fails), "red"))
        table.add_row("", turn.stem, fails, str(diffs.size(turn.base, turn.stem)))
    return table


def _table(*heads: str) -> Table:
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(width=1, style="bold cyan")
    grid.add_column(width=max(len(entry.stem) for entry in catalog.WRONG_TURNS), style="cyan")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True, style="dim")
    grid.add_row("", *(Text(head, "dim italic") for head in heads))
    return grid


def diff(old: str, new: str | None) -> None:
    """Print the diff between two targets; with one, the fix of that one.

    Its first line is its size: `patch` and `git apply` skip what stands before the diff. Raises
    TargetError, and UsageError when there is nothing before the one.
    """
    if new is None:
        old, new = _base(old), old
    out = console()
    text, size = diffs.unified(old, new), diffs.size(old, new)
    names = f"{find(old).name} → {find(new).name}"
    if not text:
        say(out, f"{names}: no line differs.")
        return
    say(out, (names, "bold"), f": {size.added} lines added, {size.removed} removed")
    for line in text.splitlines():
        style = "bold" if line.startswith(("---", "+++")) else COLOURS.get(line[0], "")
        out.print(Text(line, style), soft_wrap=True)


def _base(name: str) -> str:
    stem = find(name).stem
    for entry in (*catalog.STAGES, *catalog.WRONG_TURNS):
        if entry.stem == stem and entry.base is not None:
            return entry.base
    raise UsageError(
        f"{name} has no stage before it. Name two to compare, such as: {PYTHON} diff 1 2"
    )
