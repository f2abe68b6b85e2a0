"""The scripted upstream: an OpenAI-compatible `/v1/chat/completions` over real sockets.

It plays the script that a prompt names and keeps a ledger.

    POST /v1/chat/completions                            the answer, as the script says
    PUT  /scripts/NAME                                   registers a script
    GET  /ledger?script=NAME&until=left&count=1&deadline_s=2
                                             the entries, once `count` have come so far, or late

Source: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import h11

from stages.lab.processes.process import Handover
from stages.lab.upstream.connection import Exchange
from stages.lab.upstream.ledger import Entry, Ledger, Query, Sent
from stages.lab.upstream.script import (
    NAME,
    PREFIX,
    Cut,
    Firehose,
    Pause,
    Refusal,
    Script,
    ScriptError,
    Step,
    Token,
    Usage,
)
from stages.lab.upstream.wires import chat_completions

FIREHOSE_BATCH = 64  # tokens per write: the connection is the limit then, not this process
STREAM = [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]
ROUTES = "There is POST /v1/chat/completions, PUT /scripts/NAME and GET /ledger."
NOT_A_REQUEST = (
    "This is not a chat request: it is a JSON object with `messages`, a list, and the last of them "
    "has `content`."
)


class Upstream:
    """The scripts and the ledger, and what answers on each connection."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.ledger = Ledger()

    async def serve(self, listener: socket.socket) -> None:
        """Answer on a listening socket until cancelled.

        An error in here ends it, with a traceback: an instrument that has failed once says nothing.
        """
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        # Accepted sockets inherit it. Without it, a token waits until the one before it has been
        # acknowledged, and the other side may take 40 ms for that.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.TaskGroup() as connections:
            while True:
                connection, _ = await loop.sock_accept(listener)
                connections.create_task(self._converse(connection))

    async def _converse(self, connection: socket.socket) -> None:
        exchange = Exchange(connection)
        # The other side breaks off outside an answer: there is no entry to note it in.
        with connection, suppress(ConnectionError, h11.RemoteProtocolError):
            while (request := await exchange.receive()) is not None:
                await self._answer(exchange, *request)
                if not exchange.next():
                    break

    async def _answer(self, exchange: Exchange, request: h11.Request, body: bytes) -> None:
        path, _, query = request.target.decode().partition("?")
        route = (request.method.decode(), path)
        if route == ("POST", "/v1/chat/completions"):
            await self._complete(exchange, request, body)
        elif route == ("GET", "/ledger"):
            await self._show(exchange, query)
        elif route[0] == "PUT" and path.startswith("/scripts/"):
            await self._register(exchange, unquote(path.removeprefix("/scripts/")), body)
        else:
            message = f"Nothing is at {' '.join(route)}. {ROUTES}"
            await exchange.reply(404, chat_completions.error_body(message, "unknown_route"))

    async def _register(self, exchange: Exchange, name: str, body: bytes) -> None:
        try:
            if re.fullmatch(NAME, name) is None:
                raise ScriptError(f"The name {name!r} is not letters and digits, joined by . or -.")
            self.scripts[name] = Script.from_json(body)
        except ScriptError as exc:
            await exchange.reply(422, chat_completions.error_body(str(exc), "bad_script"))
        else:
            await exchange.reply(200, {"prompt": f"{PREFIX}{name}"})

    async def _show(self, exchange: Exchange, query: str) -> None:
        try:
            wanted = Query.from_url(query)
        except ValueError as exc:
            message = f"This is not a ledger query: {exc}"
            await exchange.reply(422, chat_completions.error_body(message, "bad_query"))
        else:
            found = await self.ledger.wait(
                wanted.script, wanted.until, wanted.count, wanted.deadline_s
            )
            await exchange.reply(200, [entry.to_json() for entry in found])

    async def _complete(self, exchange: Exchange, request: h11.Request, body: bytes) -> None:
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):  # the latter: too many brackets within brackets
            asked = None
        name, script = self._script(asked)
        headers = {key.decode(): value.decode("latin-1") for key, value in request.headers}
        entry = self.ledger.open(name, asked if isinstance(asked, dict) else {}, headers)
        await exchange.attend(play(script, entry, exchange), entry)

    def _script(self, asked: Any) -> tuple[str | None, Script]:
        """Return the name that the prompt of a request has, or None, and what to play for it."""
        match asked:
            case {"messages": [*_, {"content": prompt}]}:
                named = re.search(rf"(?<!\w){PREFIX}({NAME})", str(prompt))
            case _:
                return None, _refuse(400, NOT_A_REQUEST, "invalid_request_error")
        if named is None:
            return None, chat_completions.plain_script(str(prompt))
        unknown = f"No script {named[1]!r} is registered. PUT it to /scripts/{named[1]} first."
        return named[1], self.scripts.get(named[1]) or _refuse(404, unknown, "unknown_script")


def _refuse(status: int, message: str, code: str) -> Script:
    return Script(refusal=Refusal(status, message, code))


async def play(script: Script, entry: Entry, exchange: Exchange) -> None:
    """Answer one request as the script says."""
    exchange.byte_at_a_time = script.byte_at_a_time
    wire = chat_completions.Wire(f"chatcmpl-{entry.id}", str(entry.asked.get("model")))
    await asyncio.sleep(script.headers_after_s)
    if script.refusal is not None:
        body = chat_completions.refusal_body(script.refusal)
        sent_s = await exchange.reply(script.refusal.status, body, script.refusal.headers)
        entry.end("refused", sent_s)
    elif not entry.asked.get("stream"):
        entry.end("complete", await exchange.reply(200, wire.whole(script), script.headers))
    else:
        await exchange.send(h11.Response(status_code=200, headers=[*STREAM, *script.headers]))
        await _play_steps(script.steps, wire, entry, exchange)


async def _play_steps(
    steps: Iterable[Step], wire: chat_completions.Wire, entry: Entry, exchange: Exchange
) -> None:
    for step in steps:
        if isinstance(step, Cut):
            await exchange.cut(
                wire.content("half") if step.where == "mid chunk" else b"", step.reset
            )
            entry.end("cut", time.monotonic())
            return
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Firehose):
            await _firehose(step, wire, entry, exchange)
        elif not (isinstance(step, Usage) and step.only_if_asked) or _wants_usage(entry.asked):
            await _send_step(step, wire, entry, exchange)
    entry.end("complete", await exchange.send(h11.EndOfMessage()))


async def _send_step(
    step: Step, wire: chat_completions.Wire, entry: Entry, exchange: Exchange
) -> None:
    if isinstance(step, Token):
        await asyncio.sleep(step.delay_s)
    sent_s = await exchange.send(h11.Data(data=wire.chunk(step)))
    entry.tokens += isinstance(step, Token)
    entry.note(Sent.of(step, sent_s))


async def _firehose(
    step: Firehose, wire: chat_completions.Wire, entry: Entry, exchange: Exchange
) -> None:
    for start in range(0, step.count, FIREHOSE_BATCH):
        batch = range(start, min(start + FIREHOSE_BATCH, step.count))
        data = b"".join(wire.content(f"{i} ") for i in batch)
        sent_s = await exchange.send(h11.Data(data=data))
        entry.tokens += len(batch)
        entry.note(Sent(sent_s, "burst", f"{batch.start} to {batch.stop - 1}"))


def _wants_usage(asked: dict[str, Any]) -> bool:
    match asked:
        case {"stream_options": {"include_usage": wanted}}:
            return bool(wanted)
    return False


async def _main(handover: Handover) -> None:
    listener = handover.accept()
    upstream = Upstream()
    asyncio.get_running_loop().call_soon(handover.tell_ready)
    await upstream.serve(listener)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(Handover.from_argument(sys.argv[sys.argv.index("--handover") + 1])))
