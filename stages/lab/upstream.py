"""The scripted upstream: an OpenAI-compatible `/v1/chat/completions` over real sockets.

It plays the script that a prompt names and keeps a ledger.

    POST /v1/chat/completions                            the answer, as the script says
    PUT  /scripts/NAME                                   registers a script
    GET  /ledger?script=NAME&until=left&count=1&deadline_s=2
                                             the entries, once `count` have come so far, or late
"""

import asyncio
import json
import re
import socket
import sys
from contextlib import suppress
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from stages.lab import provider
from stages.lab.exchange import Exchange
from stages.lab.ledger import Entry, Ledger, Milestone
from stages.lab.process import Handover
from stages.lab.script import (
    PREFIX,
    Cut,
    Firehose,
    Pause,
    Raw,
    Script,
    ScriptError,
    Step,
    Token,
    Usage,
)

FIREHOSE_BATCH = 64  # tokens per write: the connection is the limit then, not this process
STREAM = [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]


class Upstream:
    """The scripts and the ledger, and what answers on each connection."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.ledger = Ledger()

    async def serve(self, listener: socket.socket) -> None:
        """Answer on a listening socket until cancelled."""
        server = await asyncio.start_server(self._connection, sock=listener)
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # "sent" means: the kernel took it
        exchange = Exchange(reader, writer)
        try:
            while (request := await exchange.receive()) is not None:
                await self._answer(exchange, *request)
                if not exchange.next():
                    break
        except (ConnectionError, h11.ProtocolError):
            pass  # the other side broke off outside an answer: there is no entry to note it in
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange, request: h11.Request, body: bytes) -> None:
        url = urlsplit(request.target.decode())
        route = (request.method.decode(), url.path)
        if route == ("POST", "/v1/chat/completions"):
            await self._complete(exchange, request, body)
        elif route == ("GET", "/ledger"):
            await self._show(exchange, dict(parse_qsl(url.query)))
        elif route[0] == "PUT" and url.path.startswith("/scripts/"):
            await self._register(exchange, unquote(url.path.removeprefix("/scripts/")), body)
        else:
            await exchange.reply(404, provider.error_body(f"No route {' '.join(route)}.", None))

    async def _register(self, exchange: Exchange, name: str, body: bytes) -> None:
        try:
            self.scripts[name] = Script.from_json(body)
        except ScriptError as exc:
            await exchange.reply(422, provider.error_body(str(exc), "bad_script"))
        else:
            await exchange.reply(200, {"prompt": f"{PREFIX}{name}"})

    async def _show(self, exchange: Exchange, query: dict[str, str]) -> None:
        try:
            await exchange.reply(200, await self._entries(query))
        except ValueError as exc:
            await exchange.reply(422, provider.error_body(f"Not a ledger query: {exc}.", None))

    async def _entries(self, query: dict[str, str]) -> list[dict[str, Any]]:
        until = query.get("until", "received")
        if until not in get_args(Milestone):
            raise ValueError(f"until={until} is none of {', '.join(get_args(Milestone))}")
        count, deadline_s = int(query.get("count", "0")), float(query.get("deadline_s", "0"))
        found = await self.ledger.wait(query.get("script"), until, count, deadline_s)  # type: ignore[arg-type]  # checked above
        return [entry.to_json() for entry in found]

    async def _complete(self, exchange: Exchange, request: h11.Request, body: bytes) -> None:
        try:
            asked = json.loads(body)
            prompt = str(asked["messages"][-1]["content"])
        except (ValueError, LookupError, TypeError) as exc:
            message = f"The body is not a chat request: {exc!r}."
            await exchange.reply(400, provider.error_body(message, "invalid_request_error"))
            return
        named = re.search(rf"{PREFIX}([\w.-]+)", prompt)
        name = named[1] if named else None
        headers = {key.decode(): value.decode("latin-1") for key, value in request.headers}
        entry = self.ledger.open(name, asked, headers)
        if name is not None and name not in self.scripts:
            message = f"No script {name!r} is registered. PUT it to /scripts/{name} first."
            await exchange.reply(404, provider.error_body(message, "unknown_script"))
            entry.end("refused")
            return
        script = self.scripts[name] if name is not None else provider.plain_script(prompt)
        await exchange.attend(play(script, entry, exchange), entry)


async def play(script: Script, entry: Entry, exchange: Exchange) -> None:
    """Answer one request as the script says."""
    exchange.byte_at_a_time = script.byte_at_a_time
    await asyncio.sleep(script.headers_after_s)
    wire = provider.Wire(f"chatcmpl-{entry.id}", str(entry.asked.get("model")))
    if script.refusal is not None:
        body = provider.refusal_body(script.refusal)
        await exchange.reply(script.refusal.status, body, script.refusal.headers)
        entry.end("refused")
        return
    if not entry.asked.get("stream"):
        await exchange.reply(200, provider.whole_answer(script, f"chatcmpl-{entry.id}", "scripted"))
        entry.end("complete")
        return
    await exchange.send(h11.Response(status_code=200, headers=[*STREAM, *script.headers]))
    entry.start()
    for step in script.steps:
        if isinstance(step, Cut):
            half = wire.content("half") if step.where == "mid chunk" else b""
            await exchange.cut(half, step.reset)
            entry.end("cut")
            return
        await _play_step(step, wire, entry, exchange)
    await exchange.send(h11.EndOfMessage())
    entry.end("complete")


async def _play_step(step: Step, wire: provider.Wire, entry: Entry, exchange: Exchange) -> None:
    if isinstance(step, Pause):
        await asyncio.sleep(step.seconds)
        return
    if isinstance(step, Firehose):
        await _firehose(step, wire, entry, exchange)
        return
    if isinstance(step, Usage) and step.only_if_asked:
        options = entry.asked.get("stream_options") or {}
        if not options.get("include_usage"):
            return
    if isinstance(step, Token):
        await asyncio.sleep(step.delay_s)
        entry.tokens += 1
    await exchange.send(h11.Data(data=wire.chunk(step)))
    entry.note(repr(step.text) if isinstance(step, Token | Raw) else type(step).__name__)


async def _firehose(step: Firehose, wire: provider.Wire, entry: Entry, exchange: Exchange) -> None:
    for start in range(0, step.count, FIREHOSE_BATCH):
        batch = range(start, min(start + FIREHOSE_BATCH, step.count))
        await exchange.send(h11.Data(data=b"".join(wire.content(f"{i} ") for i in batch)))
        entry.tokens += len(batch)
        entry.note(f"tokens {batch.start} to {batch.stop - 1}")


async def _main(handover: Handover) -> None:
    listener = handover.accept()
    upstream = Upstream()
    asyncio.get_running_loop().call_soon(handover.tell_ready)
    await upstream.serve(listener)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(Handover.from_argument(sys.argv[sys.argv.index("--handover") + 1])))
