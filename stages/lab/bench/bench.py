"""The bench: one server under test, the scripted upstream behind it, and a way to ask."""

import asyncio
import itertools
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import httpx

from stages.lab.bench.timeline import Seen, in_text, walk
from stages.lab.bench.verdict import Complaint, Timeline
from stages.lab.bench.witness import Witness
from stages.lab.clients.client import Client
from stages.lab.clients.dialects import Dialect, Told, read
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import PLAIN, ServerOptions, serve, upstream
from stages.lab.processes.targets import Target, find
from stages.lab.upstream.ledger import Entry, Milestone
from stages.lab.upstream.script import PREFIX, Script

# The lab shrinks the stages' time constants, so that a probe takes a second and not a minute.
SHRUNK = {"PING_S": "0.25", "SEND_TIMEOUT_S": "1", "UPSTREAM_IDLE_S": "2"}
# Otherwise kernels take megabytes, and the ledger says "sent" of what no server has read. Where the
# data streams, 4 KB would do harm: each segment then waits for a delayed acknowledgement.
SMALL_BYTES = 4096
UPSTREAM_SNDBUF_BYTES = 65_536
END_S = 2.0  # a server without streams ends in 0.3 s
ANSWER_S = 10.0  # the slowest script of a probe takes 2 s; the rest is for a busy machine


@dataclass(frozen=True)
class Answer:
    """One question and what became of it, on all sides."""

    client: Client
    told: Told
    entry: Entry | None  # None: the request never reached the upstream

    @property
    def seen(self) -> list[Seen]:
        """What the client and the upstream saw, in order of time."""
        return walk(self.client, self.told, self.entry)

    @property
    def timeline(self) -> Timeline:
        """The same as text."""
        return in_text(self.seen)


class Bench:
    """A server under test and its upstream, as a context manager.

    To be used once. Everything that it starts ends with it, also when a probe raises. Raises
    ProcessError when the server or the upstream does not start, or does not end.

    Every server of the bench runs on `engine`, whatever its options say; without one, on that of
    its options. Raises ValueError for an engine that there is not. `upstream_sndbuf_bytes` is
    `SO_SNDBUF` of the upstream's connections; with None, it is as the kernel likes. Whoever judges
    times enters the `witness`.
    """

    def __init__(
        self,
        target: Target | str | int,
        *,
        engine: str | None = None,
        upstream_sndbuf_bytes: int | None = UPSTREAM_SNDBUF_BYTES,
    ) -> None:
        self.target = target if isinstance(target, Target) else find(target)
        self._engine, self._upstream_sndbuf_bytes = engine, upstream_sndbuf_bytes
        self._on_engine(PLAIN)  # an unknown one is refused here, before anything has started
        self._stack = ExitStack()
        self._servers: dict[tuple[ServerOptions, str], Process] = {}
        self._databases: dict[Process, Path] = {}
        self._nobody: socket.socket | None = None
        self._numbers = itertools.count(1)
        self.witness = Witness(self._pids)
        self._open = True

    def __enter__(self) -> Self:
        with self._stack as stack:
            self._folder = stack.enter_context(TemporaryDirectory())
            self.upstream = stack.enter_context(upstream(sndbuf_bytes=self._upstream_sndbuf_bytes))
            self.shaped(PLAIN)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        self._stack.__exit__(exc_type, exc, traceback)

    def _pids(self) -> list[int]:
        return [self.upstream.pid, *(server.pid for server in self.servers)]

    @property
    def dialect(self) -> Dialect:
        """The dialect of the server under test."""
        return self.target.dialect

    @property
    def server(self) -> Process:
        """The server under test as it is; a new one when it has ended."""
        return self.shaped(PLAIN)

    @property
    def servers(self) -> list[Process]:
        """The server under test, once for each set of options that was asked for."""
        return list(self._servers.values())

    def shaped(self, options: ServerOptions, *, upstream_url: str | None = None) -> Process:
        """Return the server under test with other options; it is started once and kept.

        When it has ended, it is started again: one crash is not the verdict of every probe after.
        """
        options = self._on_engine(options)
        key = options, upstream_url or self.upstream.url
        ended = key in self._servers and self._servers[key].exit_code is not None
        if key not in self._servers or (ended and self._open):
            # A stage that leaks streams does not end by itself, and that is no news at the end.
            database = Path(self._folder) / f"usage-{len(self._databases)}.sqlite3"
            env = {**SHRUNK, "DATABASE_URL": f"sqlite+aiosqlite:///{database}"}
            server = serve(self.target.app, key[1], options, env=env, grace_s=END_S, must_end=False)
            self._servers[key] = self._stack.enter_context(server)
            self._databases[server] = database
        return self._servers[key]

    def database(self, server: Process) -> Path:
        """Return the SQLite file that a server got for its usage rows."""
        return self._databases[server]

    def _on_engine(self, options: ServerOptions) -> ServerOptions:
        return options if self._engine is None else replace(options, engine=self._engine)

    def without_upstream(self) -> Process:
        """Return the server under test with an upstream that refuses every connection."""
        if self._nobody is None:
            self._nobody = self._stack.enter_context(socket.socket())
            self._nobody.bind(("127.0.0.1", 0))  # and never listens: nobody else gets the port
        return self.shaped(PLAIN, upstream_url=f"http://127.0.0.1:{self._nobody.getsockname()[1]}")

    async def register(self, script: Script) -> str:
        """Give a script to the upstream; returns the prompt that makes the upstream play it."""
        name = f"s{next(self._numbers)}"
        answer = await self._tell("PUT", f"/scripts/{name}", content=script.to_json())
        prompt: str = answer["prompt"]
        return prompt

    async def entries(
        self,
        prompt: str | None = None,
        until: Milestone = "received",
        count: int = 0,
        deadline_s: float = 0.0,
    ) -> list[Entry]:
        """Return the ledger's entries of a prompt, or all, once `count` have come to `until`.

        At the deadline it returns what there is.
        """
        query: dict[str, str | float] = {"until": until, "count": count, "deadline_s": deadline_s}
        if prompt is not None:
            query["script"] = prompt.removeprefix(PREFIX)
        documents = await self._tell("GET", "/ledger", params=query, wait_s=deadline_s)
        return [Entry.from_json(document) for document in documents]

    async def _tell(self, method: str, path: str, *, wait_s: float = 0.0, **request: Any) -> Any:
        # Certificates take 40 ms to load, in which no client here can read: nothing needs them.
        timeout = httpx.Timeout(wait_s + ANSWER_S)
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=timeout) as http:
            try:
                response = await http.request(method, self.upstream.url + path, **request)
            except httpx.TransportError as exc:
                raise ProcessError(
                    f"The scripted upstream did not answer {method} {path}: {exc!r}. Probably it "
                    f"has failed, which is a fault of the lab. {self.upstream.log_tail()}"
                ) from exc
        response.raise_for_status()
        return response.json()

    def client(self, prompt: str, *, server: Process | None = None) -> Client:
        """Return a client that asks for this prompt."""
        return self.client_with(self.dialect.ask(prompt), server=server)

    def client_with(
        self,
        body: bytes,
        *,
        server: Process | None = None,
        headers: Mapping[str, str] | None = None,
        rcvbuf_bytes: int | None = None,
    ) -> Client:
        """Return a client that sends this body."""
        url = (server or self.server).url + self.dialect.path
        return Client(url, body, headers=headers, rcvbuf_bytes=rcvbuf_bytes)

    async def ask(
        self, script: Script, *, server: Process | None = None, deadline_s: float = ANSWER_S
    ) -> Answer:
        """Ask with a script and read to the end, or to the deadline; returns what became of it."""
        prompt = await self.register(script)
        async with self.client(prompt, server=server) as client:
            await client.read(deadline_s=deadline_s)
        entries = await self.entries(prompt)
        told = read(self.dialect, client.events)
        return Answer(client, told, entries[-1] if entries else None)

    def in_time(
        self, client: Client, complaint: Complaint | None, bound_s: float = ANSWER_S
    ) -> Complaint | None:
        """Return a complaint about what a client got, as one of time if its patience was over."""
        if complaint is None or client.ended not in (None, "left"):
            return complaint
        return self.witness.never(str(complaint), bound_s, since_s=client.sent_s)

    async def ask_all(
        self, scripts: Mapping[str, Script], *, deadline_s: float = ANSWER_S
    ) -> dict[str, Answer]:
        """Ask with several scripts at the same time; returns an answer for each name."""
        async with asyncio.TaskGroup() as group:  # when one raises, none of them stays behind
            tasks = {
                name: group.create_task(self.ask(script, deadline_s=deadline_s))
                for name, script in scripts.items()
            }
        return {name: task.result() for name, task in tasks.items()}


async def ask(
    target: Target | str | int, script: Script, *, deadline_s: float = ANSWER_S
) -> Answer:
    """Ask a target once, with a script for its upstream; returns what became of it in time."""
    with Bench(target) as bench:
        return await bench.ask(script, deadline_s=deadline_s)
