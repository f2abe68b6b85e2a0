"""Streams of the exercise `gauge_owner` of s06: begun, ended in all ways, their gauge read."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import anyio
from prometheus_client import CollectorRegistry, Gauge

from stages.lab.checks.s06_telemetry.gauges import (
    BACK,
    EVERY,
    LEAVE,
    LIMIT,
    OUT,
    TWICE,
    WHEN,
    Case,
    StreamEnd,
)
from stages.lab.exercises.attempt import calling
from stages.lab.exercises.outcome import NotYet

PATIENCE_S = 3.0  # for what takes a few turns of the event loop
MOMENTS = 10  # of what is shown, the last ones


class Broken(Exception):
    """What a stream raises that fails."""


@dataclass
class Owner:
    """A `Streams` of the learner's with a real gauge, and what became of both, in order."""

    made: Any
    case: Case
    running: int = 0
    moments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gauge = Gauge("streams_in_flight", "Slots taken", registry=CollectorRegistry())
        with calling(f"Streams(gauge, {LIMIT})", "an object", WHEN):
            self.streams = self.made(self.gauge, LIMIT)

    @property
    def value(self) -> float:
        """What a scrape would say now."""
        return next(iter(self.gauge.collect())).samples[0].value

    def see(self, moment: str) -> None:
        """Note a moment; raises NotYet when the gauge does not say how many streams run."""
        self.moments.append(f"{moment}: {self.running} running, the gauge says {self.value:g}")
        if self.value != self.running:
            twice = self.value < self.running and self.case.rule in (EVERY, LEAVE)
            got = f"the gauge says {self.value:g} while {self.running} run"
            raise self.not_yet(got, TWICE if twice else "")

    async def admit(self, count: int) -> list["Stream"]:
        """Return so many streams that run; raises anyio.WouldBlock when one is refused."""
        streams = []
        for _ in range(count):
            streams.append(stream := Stream(self))
            await stream.begin()
            self.see("a stream is admitted")
        return streams

    async def refuse(self) -> None:
        """See that one more stream is refused, and not counted."""
        try:
            await Stream(self).begin()
        except anyio.WouldBlock:
            self.see("one more is refused")
        else:
            before = any("refused" in moment for moment in self.moments)
            why = "a refusal gave a slot back: " if before else ""
            raise self.not_yet(f"{why}{LIMIT + 1} streams run, where {LIMIT} may")

    async def afterwards(self) -> None:
        """See that the gauge is at zero, and every slot free."""
        self.see("afterwards")
        try:
            for stream in await self.admit(LIMIT):
                await stream.end("comes to its end")
        except anyio.WouldBlock:
            got = f"afterwards a stream is refused where {self.running} run"
            raise self.not_yet(got, BACK) from None

    def not_yet(self, got: str, rule: str = "", within_s: float | None = None) -> NotYet:
        """Return what to say, with the last moments."""
        at, rule = "\n".join(self.moments[-MOMENTS:]), rule or self.case.rule
        return NotYet(self.case.call, got, self.case.expected, rule, at, within_s)

    def late(self, what: str) -> NotYet:
        """Return what to say where nothing comes."""
        return self.not_yet(f"nothing, {PATIENCE_S:g} s later: {what}", within_s=PATIENCE_S)


class Stream:
    """A stream in a task of its own, which runs until somebody ends it."""

    def __init__(self, owner: Owner, entering: StreamEnd | None = None) -> None:
        self.owner, self.scope, self.entering = owner, anyio.CancelScope(), entering
        self.runs, self.ends = asyncio.Event(), asyncio.Event()
        self.fails = False
        self.task = asyncio.create_task(self._run())

    async def begin(self) -> None:
        """Return when it runs; raises anyio.WouldBlock when it is refused."""
        runs = asyncio.create_task(self.runs.wait())
        both: set[asyncio.Task[Any]] = {self.task, runs}
        await asyncio.wait(both, timeout=PATIENCE_S, return_when="FIRST_COMPLETED")
        runs.cancel()
        if self.task.done():
            self.task.result()
            raise self.owner.not_yet("the body of the async with did not run")
        if not self.runs.is_set():
            raise self.owner.late("it waits for a slot")

    def hit(self, how: StreamEnd) -> None:
        """Do what ends it, and do not wait."""
        if how == "is cancelled: its task":
            self.task.cancel()
        elif how == "is cancelled: its scope":
            self.scope.cancel()
        else:
            self.fails = how == "fails"
            self.ends.set()

    async def end(self, how: StreamEnd) -> None:
        """End it, and return when it has ended; raises NotYet when nothing comes out."""
        self.hit(how)
        await self.ended()
        came_out = {
            "comes to its end": True,
            "fails": not self.task.cancelled() and self.task.exception() is not None,
            "is cancelled: its task": self.task.cancelled(),
            "is cancelled: its scope": self.scope.cancelled_caught,
        }
        if not came_out[how]:
            raise self.owner.not_yet("what the body raised is swallowed", OUT)

    async def ended(self) -> None:
        """Return when it has ended, in whatever way; raises NotYet for what may not come out."""
        await asyncio.wait({self.task}, timeout=PATIENCE_S)
        if not self.task.done():
            raise self.owner.late("it waits on its way out")
        if not self.task.cancelled() and isinstance(found := self.task.exception(), NotYet):
            raise found

    async def _run(self) -> None:
        ours: Exception | None = None
        with self.scope:
            if self.entering is not None:
                self.owner.moments.append(f"it {self.entering}, and then asks for admission")
                self.hit(self.entering)
            with calling(self.owner.case.call, self.owner.case.expected, self.owner.case.rule):
                try:
                    async with self.owner.streams.admitted():
                        await self._body()
                except (Broken, anyio.WouldBlock) as exc:
                    ours = exc
                except BaseExceptionGroup as exc:
                    got = f"{type(exc).__name__} comes out, where the body raised one exception"
                    raise self.owner.not_yet(got, OUT) from None
        if ours is not None:
            raise ours

    async def _body(self) -> None:
        self.owner.running += 1
        try:
            self.runs.set()
            await self.ends.wait()
            if self.fails:
                raise Broken("the upstream is gone")
        finally:
            self.owner.running -= 1
