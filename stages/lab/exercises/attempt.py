"""Attempts: a learner's code as a check sees it: is it written, where does it stand, what failed.

A check names each call before it makes it (`calling`). What the learner's code raises there becomes
a `NotYet` that says where. What it does when the deadline comes can be asked from another thread.
"""

import asyncio
import dis
import gc
import inspect
import linecache
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Any

from stages.lab.exercises.outcome import NotYet

REPR_CHARACTERS = 300  # of a value in a message: a token may be a megabyte
ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # differs from run to run
DOES_NOTHING = {
    *("RESUME", "NOP", "CACHE", "POP_TOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"),
    *("RETURN_GENERATOR", "MAKE_CELL", "COPY_FREE_VARS", "LOAD_SMALL_INT", "NOT_TAKEN"),
    *("CALL_INTRINSIC_1", "RERAISE"),  # how 3.12 ends every coroutine
}

LOADS = {"LOAD_CONST", "RETURN_CONST", "LOAD_SMALL_INT"}


@dataclass(frozen=True)
class Source:
    """The file that a learner's code names, and its lines; in a notebook, those of the cell."""

    file: str = ""
    lines: tuple[str, ...] = ()


@dataclass
class Now:
    """The call that is being made, for whoever has to say why nothing comes back."""

    call: str = "your code"
    expected: str = "an answer"
    rule: str = ""
    since_s: float = 0.0  # when it began, by time.monotonic()


now = Now()
source = Source()


def learn(told: Source) -> None:
    """Remember which code is the learner's."""
    global source  # noqa: PLW0603  # one answer in a process
    source = told


def codes(answer: Any) -> list[CodeType]:
    """Return the code of a function, or of each method of a class."""
    if isinstance(answer, type):
        return [code for each in vars(answer).values() for code in codes(each)]
    code = getattr(inspect.unwrap(answer), "__code__", None) if callable(answer) else None
    return [] if code is None else [code]


def source_of(answer: Any) -> Source:
    """Return the source of an answer; without lines when nothing has kept them."""
    files = [code.co_filename for code in codes(answer)]
    return Source(files[0], tuple(linecache.getlines(files[0]))) if files else Source()


def is_stub(answer: Any) -> bool:
    """Return whether a function, or each method of a class, still has `...` for its body."""
    found = codes(answer)
    return bool(found) and all(map(_does_nothing, found))


def _does_nothing(code: CodeType) -> bool:
    return all(
        step.opname in DOES_NOTHING and (step.opname not in LOADS or step.argval in (None, ...))
        for step in dis.get_instructions(code)
    )


def show(value: object) -> str:
    """Return a value for a message: without addresses, shortened in the middle where it is long."""
    text = ADDRESS.sub("", repr(value))
    if len(text) <= REPR_CHARACTERS:
        return text
    half = REPR_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]} ({len(text)} characters)"


def caret(data: bytes | str, index: int, around: int = 24) -> str:
    """Return two lines: the data near an index as a literal, and a caret under that place."""
    start, kind = max(0, index - around), type(data)
    before, here = repr(data[start:index]), repr(data[start : index + around])
    lead = "…" if start else ""
    # Escapes make the literal longer than the data: its length says where the caret stands.
    column = len(lead) + len(before) - 1
    what = "byte" if kind is bytes else "character"
    end = "the end" if index >= len(data) else f"{what} {index}"
    return f"{lead}{here}\n{' ' * column}^ {end}"


@contextmanager
def calling(call: str, expected: str, rule: str) -> Iterator[None]:
    """Say which call is made, what it should give, and which rule says so, while inside.

    What the learner's code raises inside becomes a NotYet which names its line.
    """
    now.call, now.expected, now.rule, now.since_s = call, expected, rule, time.monotonic()
    try:
        yield
    except NotYet:
        raise
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
        raise failed(exc) from exc


def failed(exc: BaseException) -> NotYet:
    """Return what an exception of the learner's says, about the call that is being made."""
    shown = unwrapped(exc)
    told = f"{type(shown).__name__}: {shown}" if str(shown) else type(shown).__name__
    told = told if shown is exc else f"{told} (in an {type(exc).__name__})"
    at = where(shown.__traceback__) or where(exc.__traceback__)
    return NotYet(now.call, told, now.expected, f"Nothing is raised here. {now.rule}".strip(), at)


def unwrapped(exc: BaseException) -> BaseException:
    """Return the first exception in a group: a task group wraps what its tasks raise."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def where(traceback: TracebackType | None) -> str:
    """Return the last line of the learner's that a traceback passes, or nothing."""
    found = ""
    while traceback is not None:
        found = line_of(traceback.tb_frame, traceback.tb_lineno) or found
        traceback = traceback.tb_next
    return found


def line_of(frame: FrameType, number: int | None = None) -> str:
    """Return the line at which a frame stands, or nothing when the code is not the learner's."""
    if frame.f_code.co_filename != source.file:
        return ""
    number = number or frame.f_lineno
    text = source.lines[number - 1].strip() if number <= len(source.lines) else ""
    return f"line {number}: {text}".removesuffix(": ")


def standing(frame: FrameType | None, loop: asyncio.AbstractEventLoop | None) -> str:
    """Return the line at which the learner's code runs now, or those at which its tasks wait."""
    while frame is not None:
        if line := line_of(frame):
            return line
        frame = frame.f_back
    tasks = asyncio.all_tasks(loop) if loop is not None else set()
    lines = {line for task in tasks if (line := _waits_at(task.get_coro()))}
    return "\n".join(f"{line} (it waits there)" for line in sorted(lines, key=_number))


def _number(line: str) -> int:
    return int(line.split()[1].rstrip(":"))


def _waits_at(awaited: Any) -> str:
    """Return the innermost line of the learner's in a chain of things that await one another."""
    found = ""
    while awaited is not None:
        frame = _first(awaited, ("cr_frame", "ag_frame", "gi_frame"))
        found = (line_of(frame) if frame is not None else "") or found
        inner = _first(awaited, ("cr_await", "ag_await", "gi_yieldfrom"))
        if inner is None and frame is None:
            # What an async generator is awaited through does not name it, but it holds it.
            inner = next(
                (one for one in gc.get_referents(awaited) if hasattr(one, "ag_frame")), None
            )
        awaited = inner
    return found


def _first(awaited: Any, names: tuple[str, ...]) -> Any:
    return next((got for name in names if (got := getattr(awaited, name, None))), None)
