"""Relays: an upstream that is read ahead into a bounded queue, and a consumer that it meets.

The upstream and the consumer note their moments. What the consumer does is a case: it takes tokens,
is busy, closes the generator, or is cancelled. No clock is in it but the one that ends a hang.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from stages.lab import turns
from stages.lab.attempt import calling, failed, line_of, show, standing
from stages.lab.outcome import NotYet

HANG_S = 3.0  # a case takes milliseconds; the rest is for a busy machine
MOMENTS = 12  # in a message, the last ones

QUEUE = "https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue"
TASKS = "https://docs.python.org/3/library/asyncio-task.html"
PEP_525 = "https://peps.python.org/pep-0525/#finalization"
PEP_789 = "https://peps.python.org/pep-0789/"
GENERATOR = "An `async def` with a `yield` in it is one: https://peps.python.org/pep-0525/"
BOTH_SIDES = (
    "`put` waits while the queue is full, so another task has to take from it, and another one to "
    f"fill it: {QUEUE}.put"
)
EMPTY = f"An empty text is a token like any other; only the end is the end: {QUEUE}.get"
AT_ONCE = f"A token goes on as soon as it is there, whatever comes behind it: {QUEUE}.get"
AHEAD = (
    "While the consumer is busy, `size` tokens wait in the queue, and one more may wait in the "
    f"hand of the producer, in `put`. Fewer is no queue, more is no bound: {QUEUE}"
)
IDLE = f"Who waits, waits in an `await` and computes nothing: {QUEUE}.get"
TOKENS_FIRST = (
    "An exception of the upstream comes out behind the tokens that came before it, and as itself. "
    f"A task group wraps it, and cancels at once: {TASKS}#task-groups"
)
NOT_OURS = (
    "A generator that is suspended at a `yield` does not own the task that it runs in: a task "
    f"group or a cancel scope around a `yield` cancels the consumer: {PEP_789}"
)
CLOSE = f"`aclose()` raises GeneratorExit at the `yield`, and it ends without an error: {PEP_525}"
NO_STRAY = (
    "The producer has ended when the generator has, on every way out: cancel it in a `finally`, "
    f"and await it: {TASKS}#asyncio.Task.cancel"
)
NOBODY_TAKES = (
    "When the generator closes, nobody takes from the queue any more: a `put` in the `finally` of "
    f"the producer waits for ever: {QUEUE}.put"
)
CLOSED = (
    "Whoever reads an async generator closes it. A producer that is cancelled in `put` leaves it "
    f"suspended, until the garbage collector comes: {PEP_525}"
)
OUTER = f"Clean up, then let CancelledError out: {TASKS}#task-cancellation"
LEVEL = (
    "Starlette cancels by a cancel scope, which cancels every further `await` as well: "
    "https://anyio.readthedocs.io/en/stable/cancellation.html"
)
ELSEWHERE = (
    "Who closes a generator need not be who has read it: `wait_for` up to Python 3.11 and the "
    f"event loop's own hook use another task, and a task group must end in its own: {PEP_789}"
)

End = Literal["ends", "raises", "is silent"]
Relay = Callable[[AsyncGenerator[str, None], int], AsyncGenerator[str, None]]


class BrokeOff(Exception):
    """What the upstream raises in a case."""


@dataclass(frozen=True)
class Case:
    """What the upstream gives, how that ends, and what the consumer does: steps, in order.

    A number takes so many tokens, `all` takes what is left, up to the end.
    """

    name: str
    tokens: str  # one for each character, `-` for an empty one
    end: End
    size: int
    steps: tuple[int | str, ...]
    rule: str
    expected: str


LONG = "abcdefghijklmnopqrst"
NOTHING_LEFT = "the generator ends; the producer and the upstream have ended, too"
CANCELLED = "CancelledError; the producer and the upstream have ended"
CASES = (
    Case("a token more than the size", "abc", "ends", 2, ("all",), BOTH_SIDES, "all 3 tokens"),
    Case("many tokens", LONG, "ends", 2, ("all",), BOTH_SIDES, "all 20 tokens, in order"),
    Case("an empty token", "a-b", "ends", 2, ("all",), EMPTY, "'a', '' and 'b'"),
    Case("no token", "", "ends", 2, ("all",), EMPTY, "no token, and the end"),
    Case("a busy consumer", LONG, "ends", 1, (1, "busy", "all"), AHEAD, "2 or 3 tokens read"),
    Case("a busy consumer", LONG, "ends", 4, (3, "busy", "all"), AHEAD, "7 or 8 tokens read"),
    Case(
        "a failure", "ab", "raises", 4, ("all",), TOKENS_FIRST, "'a', 'b', then BrokeOff, as itself"
    ),
    Case(
        "a failure while the consumer is busy",
        "abc",
        "raises",
        4,
        (1, "busy", "all"),
        TOKENS_FIRST,
        "'a', 'b', 'c', then BrokeOff, as itself",
    ),
    Case(
        "closed in a silence behind the first token",
        "a",
        "is silent",
        2,
        (1, "busy", "close"),
        AT_ONCE,
        f"'a', at once; then {NOTHING_LEFT}",
    ),
    Case("closed with a full queue", LONG, "ends", 2, (1, "busy", "close"), CLOSED, NOTHING_LEFT),
    Case("cancelled in a silence", "a", "is silent", 2, (1, "cancel"), OUTER, CANCELLED),
    Case("cancelled by a cancel scope", "a", "is silent", 2, (1, "scope"), LEVEL, CANCELLED),
    Case(
        "closed by another task", LONG, "ends", 2, (1, "busy", "elsewhere"), ELSEWHERE, NOTHING_LEFT
    ),
)


class Scene:
    """One case as it runs, and what was seen of it."""

    def __init__(self, case: Case, relay: Relay) -> None:
        self.case, self.moments = case, list[str]()
        self.tokens = ["" if each == "-" else each for each in case.tokens]
        self.failure = BrokeOff("the upstream broke off")
        self.read, self.taken, self.closed = 0, list[str](), False
        self.scope = anyio.CancelScope()
        self.before = asyncio.all_tasks()
        self.doing = ""
        self.upstream = self._upstream()  # held here: nothing is closed by the garbage collector
        self.stream = relay(self.upstream, case.size)

    async def _upstream(self) -> AsyncGenerator[str, None]:
        try:
            for token in self.tokens:
                await asyncio.sleep(0)
                self.read += 1
                self.moments.append(f"the upstream gives {token!r}")
                yield token
            if self.case.end == "is silent":
                self.moments.append("the upstream is silent")
                await asyncio.Event().wait()
            if self.case.end == "raises":
                self.moments.append("the upstream raises BrokeOff")
                raise self.failure
        finally:
            try:
                with anyio.CancelScope(shield=True):  # as the SDK closes its connection
                    await turns.clean_up()
            finally:
                self.closed = True
                self.moments.append("the upstream has ended")

    def not_yet(self, got: str, rule: str = "", line: str = "") -> NotYet:
        """Return what does not hold, with the last moments of this case."""
        call = f"relay(upstream, size={self.case.size})    # {self.case.name}"
        lines = [*self.moments[-MOMENTS:], *([f"your {line}"] if line else [])]
        lead = ["…"] if len(self.moments) > MOMENTS else []
        rule = rule or self.case.rule
        return NotYet(call, got, self.case.expected, rule, "\n".join([*lead, *lines]))

    async def play(self) -> None:
        """Do what the consumer does, and look around when the generator is over."""
        for step in self.case.steps:
            self.doing = str(step)
            match step:
                case int(count):
                    await self._take(count)
                case "all":
                    await self._take(len(self.tokens) - len(self.taken))
                    await self._end()
                case "busy":
                    await self._be_busy()
                case "close":
                    await self._close()
                case "elsewhere":
                    await self._in_a_task(self._close())
                case how:
                    await self._cancelled(how)
        self.look_around()

    async def _take(self, count: int) -> None:
        for _ in range(count):
            wanted = self.tokens[len(self.taken)]
            try:
                token = await anext(self.stream)
            except StopAsyncIteration:
                raise self.not_yet(f"the end instead of {wanted!r}") from None
            except BaseExceptionGroup as exc:
                raise self.not_yet(f"{type(exc).__name__} instead of {wanted!r}") from exc
            except BrokeOff:
                raise self.not_yet(f"BrokeOff instead of {wanted!r}") from None
            self.taken.append(token)
            self.moments.append(f"the consumer gets {show(token)}")
            if token != wanted:
                raise self.not_yet(f"{show(token)} instead of {wanted!r}")

    async def _end(self) -> None:
        try:
            token = await anext(self.stream)
        except StopAsyncIteration:
            if self.case.end == "raises":
                raise self.not_yet("the end, as if all were well") from None
        except (BrokeOff, BaseExceptionGroup) as exc:
            if exc is not self.failure:
                raise self.not_yet(f"{type(exc).__name__}: {exc}") from exc
        else:
            raise self.not_yet(f"{show(token)}, of which the upstream knows nothing")

    async def _be_busy(self) -> None:
        self.moments.append("the consumer is busy")
        await turns.settle()
        least = min(len(self.taken) + self.case.size, len(self.tokens))
        if not least <= self.read <= least + 1:
            got = f"{self.read} tokens read, {len(self.taken)} of them for the consumer"
            raise self.not_yet(got, AHEAD)
        await self._rest()

    async def _rest(self) -> None:
        if "all" not in self.case.steps and await turns.is_busy():
            raise self.not_yet("the event loop never rests while all wait", IDLE)

    async def _close(self) -> None:
        self.moments.append("aclose() begins")
        try:
            await self.stream.aclose()
        except BaseException as exc:
            rule = self.case.rule if self.doing == "elsewhere" else CLOSE
            raise self.not_yet(f"aclose() raises {type(exc).__name__}: {exc}", rule) from exc
        self.moments.append("aclose() returns")

    async def _in_a_task(self, doing: Any) -> None:
        task = asyncio.create_task(doing)
        await asyncio.wait({task})
        task.result()

    async def _cancelled(self, how: str) -> None:
        consumer = asyncio.current_task()
        assert consumer is not None
        busy = list[bool]()

        async def soon() -> None:
            await turns.settle()
            busy.append(await turns.is_busy())
            self.moments.append("cancelled from outside")
            if how == "scope":
                self.scope.cancel()
            else:
                consumer.cancel()

        helper = asyncio.create_task(soon())
        with self.scope:
            try:
                got = show(await anext(self.stream))
            except StopAsyncIteration:
                got = "the end"
            except asyncio.CancelledError:
                self.moments.append("CancelledError comes out")
                if how == "cancel":
                    consumer.uncancel()
                if any(busy):
                    raise self.not_yet("the event loop never rests while all wait", IDLE) from None
                return
            except RuntimeError as exc:
                raise self.not_yet(f"RuntimeError: {exc}", NOT_OURS) from exc
            finally:
                helper.cancel()
            raise self.not_yet(f"{got}: the cancellation is lost")

    def look_around(self) -> None:
        """Raise NotYet unless everything has ended with the generator."""
        strays = turns.strays(self.before)
        if not self.closed:
            rule = NO_STRAY if strays else CLOSED
            still = "and the producer still runs" if strays else "and nobody has closed it"
            raise self.not_yet(f"the upstream goes on, {still}", rule)
        if strays:
            raise self.not_yet(strays, NO_STRAY)


async def hold(relay: Any, case: Case) -> None:
    """Play a case; raises NotYet."""
    turns.keep_quiet()
    call = f"relay(upstream, size={case.size})    # {case.name}"
    with calling(call, case.expected, case.rule):
        scene = Scene(case, relay)
        if not hasattr(scene.stream, "aclose"):
            raise scene.not_yet(
                f"a {type(scene.stream).__name__}, and no async generator", GENERATOR
            )
        task = asyncio.create_task(scene.play())
        scene.before.add(task)
        done, _ = await asyncio.wait({task}, timeout=HANG_S)
        if not done:
            rule = NOBODY_TAKES if scene.doing in ("close", "elsewhere") else case.rule
            raise scene.not_yet(f"nothing more in {HANG_S:g} s", rule, _line(scene.stream))
        if task.cancelled():
            raise scene.not_yet("the consumer is cancelled, by nobody outside", NOT_OURS)
        if (exc := task.exception()) is not None:
            raise exc if isinstance(exc, NotYet) else failed(exc)


def _line(stream: Any) -> str:
    """Return the learner's line at which the producer waits, or else the generator."""
    if line := standing(None, asyncio.get_running_loop()):
        return line
    line = line_of(frame) if (frame := getattr(stream, "ag_frame", None)) else ""
    return f"{line} (it waits there)" if line else ""
