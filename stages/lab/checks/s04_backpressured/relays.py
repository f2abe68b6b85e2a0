"""Relays: an upstream that is read ahead into a bounded queue, and a consumer that it meets.

The upstream and the consumer note their moments. What the consumer does is a case: it takes tokens,
is busy, closes the generator, or is cancelled. No clock is in it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio

from stages.lab.checks import turns
from stages.lab.checks.s04_backpressured.relay_cases import (
    AHEAD,
    CLOSE,
    CLOSED,
    IDLE,
    NO_STRAY,
    NOT_OURS,
    Case,
)
from stages.lab.exercises.attempt import show
from stages.lab.exercises.outcome import NotYet

MOMENTS = 12  # in a message, the last ones

Relay = Callable[[AsyncGenerator[str, None], int], AsyncGenerator[str, None]]


class BrokeOff(Exception):
    """What the upstream raises in a case."""


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

    def not_yet(
        self, got: str, rule: str = "", line: str = "", within_s: float | None = None
    ) -> NotYet:
        """Return what does not hold, with the last moments of this case."""
        call = f"relay(upstream, size={self.case.size})    # {self.case.name}"
        lines = [*self.moments[-MOMENTS:], *([line] if line else [])]
        lead = ["…"] if len(self.moments) > MOMENTS else []
        at, rule = "\n".join([*lead, *lines]), rule or self.case.rule
        return NotYet(call, got, self.case.expected, rule, at, within_s)

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

    async def _soon(self, cancel: Callable[[], object]) -> bool:
        """Cancel when nothing goes on any more; returns whether anything computed meanwhile."""
        await turns.settle()
        busy = await turns.is_busy()
        self.moments.append("cancelled from outside")
        cancel()
        return busy

    async def _cancelled(self, how: str) -> None:
        consumer = asyncio.current_task()
        assert consumer is not None
        cancel = self.scope.cancel if how == "scope" else consumer.cancel
        helper = asyncio.create_task(self._soon(cancel))
        with self.scope:
            try:
                got = show(await anext(self.stream))
            except StopAsyncIteration:
                got = "the end"
            except asyncio.CancelledError:
                self.moments.append("CancelledError comes out")
                if how == "cancel":
                    consumer.uncancel()
                if helper.done() and helper.result():
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
