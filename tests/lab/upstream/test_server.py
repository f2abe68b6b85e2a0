"""The scripted upstream does what a script says, and its ledger says what happened.

It sees the other side leave at any moment, and says truthfully how it left.
"""

import asyncio
import json
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Literal

import httpx
import pytest

from stages.lab.clients.client import Client
from stages.lab.sockets import reset_on_close
from stages.lab.upstream.connection import Exchange
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Cut, Firehose, Pause, Raw, Refusal, Role, Script, Token
from stages.lab.upstream.wires.chat_completions import PARAGRAPHS
from tests.helpers.upstream import (
    DEADLINE_S,
    Desk,
    chat,
    on_linux,
    segments_with_data,
    socket_of,
)

# How early a sleep may end, and what the clocks of two reads differ by.
EARLY_S = 0.01


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as desk:
        yield desk


async def read(desk: Desk, prompt: str) -> Client:
    """Ask with a prompt and read all."""
    async with desk.client(prompt) as client:
        assert await client.read(deadline_s=DEADLINE_S)
    return client


def ask(desk: Desk, script: Script) -> Client:
    return asyncio.run(read(desk, desk.register(script)))


def tokens(*texts: str) -> Script:
    """A script of tokens and nothing else, so that the events of the client are the tokens."""
    return Script(tuple(map(Token, texts)))


def text_of(client: Client) -> str:
    return "".join(
        json.loads(event.data)["choices"][0]["delta"]["content"] for event in client.events
    )


# What is sent, and when.


def test_a_token_is_sent_after_its_delay(desk: Desk) -> None:
    client = ask(desk, Script((Token("a", 0.1), Token("b", 0.1), Token("c"))))

    a_s, b_s, _ = (at_s - client.sent_s for at_s, _ in client.items)
    assert a_s > 0.1 - EARLY_S
    assert b_s > 0.2 - EARLY_S


def test_a_token_arrives_before_the_next_one_is_sent(desk: Desk) -> None:
    prompt = desk.register(Script((Token("a"), Token("b", 0.3))))

    client = asyncio.run(read(desk, prompt))

    sent = {step.text: step.at_s for step in desk.entry(prompt).sent}
    assert client.items[0][0] < sent["b"]


@on_linux
def test_a_token_is_sent_at_once_also_when_the_client_acknowledges_late(desk: Desk) -> None:
    """On a connection that is in use to and fro, Linux acknowledges after 40 ms."""
    prompt = desk.register(tokens(*"abcd"))

    async def segments_of_the_last_answer() -> int:
        async with Connection(desk) as connection:
            for _ in range(20):
                before = segments_with_data(connection.socket)
                await connection.ask(prompt)
            return segments_with_data(connection.socket) - before

    segments = asyncio.run(segments_of_the_last_answer())

    assert segments >= 6  # the headers, four tokens, the end; one that is sent again counts twice


def test_the_headers_are_held_back(desk: Desk) -> None:
    client = ask(desk, Script.answer("a", headers_after_s=0.3))

    assert client.headers_s is not None
    assert client.headers_s - client.sent_s > 0.3 - EARLY_S


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_pause_is_silence_at_its_place(desk: Desk, at: int) -> None:
    steps = [Token("a"), Token("b")]
    script = Script((*steps[:at], Pause(0.3), *steps[at:]))

    client = ask(desk, script)

    assert client.headers_s is not None
    assert client.ended_s is not None
    moments = [client.headers_s, *(at_s for at_s, _ in client.items), client.ended_s]
    gaps = [after - before for before, after in pairwise(moments)]
    assert gaps.index(max(gaps)) == at
    assert gaps[at] > 0.3 - EARLY_S


def test_raw_text_is_sent_as_it_stands(desk: Desk) -> None:
    client = ask(desk, Script((Raw(": a comment\n\n"), Raw("data: {"), Raw("}\r\n\r\n"))))

    assert client.body == b": a comment\n\ndata: {}\r\n\r\n"


def test_headers_of_the_script_come_with_the_answer(desk: Desk) -> None:
    client = ask(desk, Script(headers=(("x-internal", "secret"),)))

    assert client.headers["x-internal"] == "secret"


def test_a_stream_is_an_event_stream(desk: Desk) -> None:
    client = ask(desk, Script())

    assert client.headers["content-type"] == "text/event-stream; charset=utf-8"


# A cut.


@pytest.mark.parametrize(("reset", "ended"), [(False, "cut"), (True, "reset")], ids=["FIN", "RST"])
def test_a_cut_between_chunks_comes_after_whole_events(desk: Desk, reset: bool, ended: str) -> None:
    client = ask(desk, Script((Token("a"), Cut(reset=reset))))

    assert client.ended == ended
    assert client.wire.endswith(b"\n\n\r\n")  # the end of an event, the end of a chunk


@pytest.mark.parametrize(("reset", "ended"), [(False, "cut"), (True, "reset")], ids=["FIN", "RST"])
def test_a_cut_mid_chunk_comes_within_an_event(desk: Desk, reset: bool, ended: str) -> None:
    client = ask(desk, Script((Token("a"), Cut("mid chunk", reset))))

    assert client.ended == ended
    assert re.search(rb"\n\ndata: [^\n]+$", client.body)


def test_nothing_is_played_after_a_cut(desk: Desk) -> None:
    prompt = desk.register(Script((Token("a"), Cut(), Token("b"))))

    asyncio.run(read(desk, prompt))

    entry = desk.entry(prompt, "ended")
    assert (entry.ended, entry.tokens) == ("cut", 1)


# One byte in each segment.

BYTES = Script(Script.answer(*"abcdef").steps, byte_at_a_time=True)


@on_linux
def test_byte_at_a_time_means_a_segment_for_each_byte(desk: Desk) -> None:
    async def count(prompt: str) -> tuple[int, int]:
        async with desk.client(prompt) as client:
            await client.read(deadline_s=DEADLINE_S)
            return segments_with_data(socket_of(client)), len(client.wire)

    segments, wire_bytes = asyncio.run(count(desk.register(BYTES)))

    assert segments >= wire_bytes  # a segment that is sent again counts twice


@on_linux
def test_a_byte_has_its_own_segment_also_when_it_has_to_wait(desk: Desk) -> None:
    """When nobody reads, nobody acknowledges, and the kernel holds bytes back."""

    async def count(prompt: str) -> tuple[int, int]:
        async with desk.client(prompt) as client:
            desk.entry(prompt, "ended")
            await client.read(deadline_s=DEADLINE_S)
            return segments_with_data(socket_of(client)), len(client.wire)

    segments, wire_bytes = asyncio.run(count(desk.register(BYTES)))

    assert segments >= wire_bytes


def test_byte_at_a_time_changes_no_byte(desk: Desk) -> None:
    by_bytes = ask(desk, Script(tokens("a", "\u2028", "\ud83d").steps, byte_at_a_time=True))

    assert text_of(by_bytes) == "a\u2028\ud83d"


# The firehose.


async def drain(client: Client) -> bytes:
    """Return all that comes over the wire, taken as fast as it comes."""
    loop, parts = asyncio.get_running_loop(), [b""]
    async with asyncio.timeout(DEADLINE_S):
        while not parts[-1].endswith(b"0\r\n\r\n"):
            parts.append(await loop.sock_recv(socket_of(client), 1 << 20))
    return b"".join(parts)


async def all_of(desk: Desk, prompt: str) -> bytes:
    async with desk.client(prompt) as client:
        return await drain(client)


def test_every_token_of_a_firehose_arrives_in_order(desk: Desk) -> None:
    prompt = desk.register(Script((Firehose(200_000),)))

    wire = asyncio.run(all_of(desk, prompt))

    numbers = re.findall(rb'"content": "(\d+) "', wire)
    assert list(map(int, numbers)) == list(range(200_000))


def test_a_firehose_is_as_fast_as_the_connection(desk: Desk) -> None:
    """Otherwise a probe with a firehose measures the upstream."""
    prompt = desk.register(Script((Firehose(200_000),)))

    start_s = time.monotonic()
    asyncio.run(all_of(desk, prompt))

    assert time.monotonic() - start_s < 5  # 0.4 s; a client with the SDK takes 20 s


def test_a_firehose_waits_for_a_client_that_does_not_read(desk: Desk) -> None:
    async def stall(prompt: str) -> Entry:
        async with desk.client(prompt):
            return desk.stalled(prompt)

    entry = asyncio.run(stall(desk.register(Script((Firehose(200_000),)))))

    assert entry.tokens < 100_000  # the kernel takes 4 MB, which is 20,000


@on_linux
def test_a_firehose_that_waits_takes_no_memory(desk: Desk) -> None:
    async def growth(prompt: str) -> int:
        before = desk.resident_bytes
        async with desk.client(prompt):
            desk.stalled(prompt)
            return desk.resident_bytes - before

    grown_bytes = asyncio.run(growth(desk.register(Script((Firehose(200_000),)))))

    assert grown_bytes < 5_000_000  # all of it is 40 MB


def test_sent_bytes_are_those_that_the_kernel_took(desk: Desk) -> None:
    """Also when it took a part of what was offered, as it does before it takes nothing."""

    async def stall_and_drain(prompt: str) -> int:
        async with desk.client(prompt) as client:
            desk.stalled(prompt)
            return len(await drain(client))

    prompt = desk.register(Script((Firehose(50_000),)))

    received_bytes = asyncio.run(stall_and_drain(prompt))

    assert desk.entry(prompt, "ended").sent_bytes == received_bytes


def test_a_write_lets_others_have_their_turn_also_when_it_need_not_wait() -> None:
    """Otherwise nobody would watch for a close while a fast client drains a firehose."""

    async def turns_of_another_task() -> int:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        near, far = socket.socketpair()
        with near, far:
            exchange, other = Exchange(near), asyncio.create_task(take_turns())
            for _ in range(10):
                await exchange.write(b"x")
            other.cancel()
        return turns

    assert asyncio.run(turns_of_another_task()) >= 10


# Prompts.


def test_a_prompt_without_a_script_gets_running_text(desk: Desk) -> None:
    client = asyncio.run(read(desk, "What is a stream?"))

    text = "".join(re.findall(r'"content": "((?:[^"\\]|\\.)*)"', client.body.decode()))
    assert json.loads(f'"{text}"') in PARAGRAPHS


@pytest.mark.parametrize(
    "prompt", ["Play {}.", "({})", "first {}\nthen stop", "{}", "{}, please", "\u00ab{}\u00bb"]
)
def test_a_prompt_names_its_script_anywhere(desk: Desk, prompt: str) -> None:
    named = desk.register(tokens("played"))

    client = asyncio.run(read(desk, prompt.format(named)))

    assert text_of(client) == "played"


def test_a_word_that_ends_in_script_names_none(desk: Desk) -> None:
    async def status(prompt: str) -> int | None:
        async with desk.client(prompt) as client:
            await client.read(lambda: client.status is not None, deadline_s=DEADLINE_S)
        return client.status

    assert asyncio.run(status("What does javascript:void do?")) == 200


def test_a_script_is_named_by_the_last_message(desk: Desk) -> None:
    first, last = desk.register(tokens("first")), desk.register(tokens("last"))
    messages = [{"role": "user", "content": prompt} for prompt in (first, last)]

    response = desk.http.post("/v1/chat/completions", json={"messages": messages})

    assert response.json()["choices"][0]["message"]["content"] == "last"


# What it says to those who ask wrongly.


def complaint(response: httpx.Response) -> str:
    message: str = response.json()["error"]["message"]
    return message


def test_an_unknown_script_is_refused_with_what_to_do(desk: Desk) -> None:
    response = desk.http.post("/v1/chat/completions", content=chat("script:nobody.knows"))

    assert response.status_code == 404
    assert complaint(response) == (
        "No script 'nobody.knows' is registered. PUT it to /scripts/nobody.knows first."
    )


def test_a_bad_script_is_refused_with_what_is_allowed(desk: Desk) -> None:
    response = desk.http.put("/scripts/bad", content='{"steps": [{"do": "Token"}]}')

    assert response.status_code == 422
    assert complaint(response) == (
        "This is not a script: Token needs the field 'text'. Its fields: text, delay_s."
    )


@pytest.mark.parametrize("name", ["a%20b", "a.", "", "-", "a/b"])
def test_a_name_that_no_prompt_could_say_is_refused(desk: Desk, name: str) -> None:
    response = desk.http.put(f"/scripts/{name}", content=Script().to_json())

    assert response.status_code == 422
    assert "is not letters and digits, joined by . or -." in complaint(response)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "until=dawn",
            "Query has until='dawn'. Allowed is 'received' or 'headers' or 'ended' or 'left'.",
        ),
        ("count=many", "Query has count='many'. Allowed is a whole number from 0 up."),
        ("count=-1", "Query has count=-1. Allowed is a whole number from 0 up."),
        ("deadline_s=soon", "Query has deadline_s='soon'. Allowed is a number from 0 up."),
        ("deadline_s=nan", "Query has deadline_s=nan. Allowed is a number from 0 up."),
        ("deadline_s=inf", "Query has deadline_s=inf. Allowed is a number from 0 up."),
        (
            "scrip=t1",
            "Query has no field 'scrip'. Its fields: script, until, count, deadline_s.",
        ),
    ],
)
def test_a_bad_query_is_refused_with_what_is_allowed(desk: Desk, query: str, words: str) -> None:
    response = desk.http.get(f"/ledger?{query}")

    assert response.status_code == 422
    assert complaint(response) == f"This is not a ledger query: {words}"


NOT_REQUESTS = [b"", b"{", b"[]", b"{}", b'{"messages": []}', b'{"messages": ["hi"]}', b"[" * 9999]


@pytest.mark.parametrize("body", NOT_REQUESTS, ids=lambda body: repr(body[:20]))
def test_what_is_no_chat_request_is_refused_with_what_one_is(desk: Desk, body: bytes) -> None:
    response = desk.http.post("/v1/chat/completions", content=body)

    assert response.status_code == 400
    assert complaint(response) == (
        "This is not a chat request: it is a JSON object with `messages`, a list, and the last of "
        "them has `content`."
    )


def test_what_is_no_chat_request_is_in_the_ledger_too(desk: Desk) -> None:
    """Otherwise a server that passes every request on would seem to have asked for nothing."""
    before = len(desk.http.get("/ledger").json())

    desk.http.post("/v1/chat/completions", content=b'{"messages": []}')

    (entry,) = desk.http.get("/ledger").json()[before:]
    assert (entry["asked"], entry["ended"]) == ({"messages": []}, "refused")


def test_an_unknown_route_is_refused_with_those_that_there_are(desk: Desk) -> None:
    response = desk.http.get("/v1/models")

    assert response.status_code == 404
    assert complaint(response) == (
        "Nothing is at GET /v1/models. "
        "There is POST /v1/chat/completions, PUT /scripts/NAME and GET /ledger."
    )


# Connections.


class Connection:
    """One connection, for several requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __aenter__(self) -> "Connection":
        self.socket = socket.create_connection(("127.0.0.1", int(self._desk.url.split(":")[-1])))
        self.reader, self.writer = await asyncio.open_connection(sock=self.socket)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def send(self, prompt: str, head: str = "") -> None:
        body = chat(prompt)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{head}"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def receive(self) -> bytes:
        """Return one answer, as it comes over the wire."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readuntil(b"\r\n0\r\n\r\n")

    async def ask(self, prompt: str) -> bytes:
        self.send(prompt)
        return await self.receive()


def test_a_connection_takes_one_request_after_the_other(desk: Desk) -> None:
    """The next one comes at the very moment when the last one ends: none may get lost."""
    prompt = desk.register(tokens("x"))

    async def ask_often() -> list[bytes]:
        async with Connection(desk) as connection:
            return [await connection.ask(prompt) for _ in range(500)]

    answers = asyncio.run(ask_often())

    assert all(b'"content": "x"' in answer for answer in answers)


def test_a_request_that_comes_during_an_answer_gets_its_turn(desk: Desk) -> None:
    slow, quick = desk.register(Script((Token("slow", 0.1),))), desk.register(tokens("quick"))

    async def ask_both() -> list[bytes]:
        async with Connection(desk) as connection:
            connection.send(slow)
            await connection.reader.readuntil(b"\r\n\r\n")  # the headers
            connection.send(quick)
            return [await connection.receive(), await connection.receive()]

    first, second = asyncio.run(ask_both())

    assert b"slow" in first
    assert b"quick" in second


def test_a_client_that_waits_for_permission_to_send_its_body_gets_it(desk: Desk) -> None:
    """As curl does from 1 MB on. RFC 9110, section 10.1.1."""
    prompt = desk.register(tokens("x"))

    async def wait_for_permission() -> bytes:
        async with Connection(desk) as connection:
            body = chat(prompt)
            head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
            connection.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode())
            async with asyncio.timeout(DEADLINE_S):
                await connection.reader.readuntil(b"HTTP/1.1 100 \r\n\r\n")
            connection.writer.write(body)
            return await connection.receive()

    assert b"HTTP/1.1 200" in asyncio.run(wait_for_permission())


def test_the_next_request_after_a_client_left_is_answered(desk: Desk) -> None:
    asyncio.run(leave(desk, MOMENTS["between two tokens"], "rst"))

    assert text_of(ask(desk, tokens("hello"))) == "hello"


def test_two_requests_are_answered_at_the_same_time(desk: Desk) -> None:
    silent, quick = desk.register(Script((Pause(60),))), desk.register(tokens("quick"))

    async def ask_while_another_waits() -> Client:
        async with desk.client(silent):
            desk.entry(silent, "headers")
            return await read(desk, quick)

    assert text_of(asyncio.run(ask_while_another_waits())) == "quick"


@pytest.mark.parametrize("what", [b"", b"POST /v1", b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_http_ends_its_own_connection_only(desk: Desk, what: bytes) -> None:
    async def send() -> bytes:
        async with Connection(desk) as connection:
            connection.writer.write(what)
            connection.writer.write_eof()
            async with asyncio.timeout(DEADLINE_S):
                return await connection.reader.read()

    assert asyncio.run(send()) == b""
    assert text_of(ask(desk, tokens("hello"))) == "hello"


# The ledger: what was asked and when.


def test_the_ledger_keeps_what_was_asked(desk: Desk) -> None:
    prompt = desk.register(tokens("x"))

    desk.http.post(
        "/v1/chat/completions",
        content=chat(prompt, stream_options={"include_usage": True}),
        headers={"x-trace": "7"},
    )

    entry = desk.entry(prompt)
    assert entry.asked["stream_options"] == {"include_usage": True}
    assert entry.request_headers["x-trace"] == "7"


def test_the_times_of_the_ledger_are_on_the_clock_of_the_client(desk: Desk) -> None:
    prompt = desk.register(Script.answer("a", "b", delay_s=0.01))

    before_s = time.monotonic()
    asyncio.run(read(desk, prompt))
    after_s = time.monotonic()

    entry = desk.entry(prompt)
    assert entry.headers_s is not None
    assert entry.ended_s is not None
    sent = [step.at_s for step in entry.sent]
    moments = [before_s, entry.received_s, *sent, entry.ended_s, after_s]
    assert moments == sorted(moments)


def test_the_ledger_keeps_what_was_sent_step_by_step(desk: Desk) -> None:
    prompt = desk.register(Script((Role(), Token("a"), Pause(0), Firehose(100), Raw(":\n"))))

    asyncio.run(read(desk, prompt))

    assert [(step.kind, step.text) for step in desk.entry(prompt).sent] == [
        ("headers", ""),
        ("role", ""),
        ("token", "a"),
        ("burst", "0 to 63"),
        ("burst", "64 to 99"),
        ("raw", ":\n"),
    ]


def test_a_refusal_is_in_the_ledger_with_the_time_of_its_headers(desk: Desk) -> None:
    prompt = desk.register(Script(refusal=Refusal(429)))

    asyncio.run(read(desk, prompt))

    entry = desk.entry(prompt, "headers")
    assert (entry.ended, entry.left, entry.tokens) == ("refused", None, 0)


def test_the_ledger_answers_when_enough_have_come_so_far(desk: Desk) -> None:
    prompt = desk.register(Script((Token("a", 0.05), Token("b"))))

    async def ask_twice_and_wait_for_both() -> list[Entry]:
        async with desk.client(prompt), desk.client(prompt):
            return desk.entries(prompt, "ended", count=2, deadline_s=DEADLINE_S)

    entries = asyncio.run(ask_twice_and_wait_for_both())

    assert [entry.ended for entry in entries] == ["complete", "complete"]


def test_the_ledger_answers_at_the_deadline_with_what_there_is(desk: Desk) -> None:
    prompt = desk.register(Script((Pause(60),)))

    async def wait_for_an_end_that_does_not_come() -> list[Entry]:
        async with desk.client(prompt):
            desk.entry(prompt, "headers")
            return desk.entries(prompt, "ended", count=1, deadline_s=0.05)

    (entry,) = asyncio.run(wait_for_an_end_that_does_not_come())

    assert entry.ended is None


# The ledger: who left, when and how.

# Seen after 1 ms, at most 14 on two cores with six programs that want them; the worst is a firehose
# at full speed, where the upstream is one of the six.
SEEN_S = 0.05

Ready = Callable[[Desk, str, Client], Awaitable[object]]


async def when_received(desk: Desk, prompt: str, client: Client) -> None:
    desk.entry(prompt, "received")


async def when_headers_are_sent(desk: Desk, prompt: str, client: Client) -> None:
    desk.entry(prompt, "headers")


async def when_stalled(desk: Desk, prompt: str, client: Client) -> None:
    desk.stalled(prompt)


def when_read(wire_bytes: int) -> Ready:
    async def ready(desk: Desk, prompt: str, client: Client) -> None:
        await client.read(lambda: len(client.wire) > wire_bytes, deadline_s=DEADLINE_S)

    return ready


LONG = tuple(Token("x", 0.01) for _ in range(6000))  # a minute

MOMENTS: dict[str, tuple[Script, Ready]] = {
    "before the headers": (Script.answer("x", headers_after_s=60), when_received),
    "before the headers of a refusal": (
        Script(refusal=Refusal(500), headers_after_s=60),
        when_received,
    ),
    "in the silence after the headers": (Script((Pause(60),)), when_headers_are_sent),
    "between two tokens": (Script(LONG), when_read(1000)),
    "within a firehose that it reads": (Script((Firehose(10_000_000),)), when_read(2_000_000)),
    "within a firehose that it does not read": (Script((Firehose(),)), when_stalled),
    "within an answer byte by byte": (
        Script((Firehose(),), byte_at_a_time=True),
        when_read(1000),
    ),
}
at_every_moment = pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())


async def leave(
    desk: Desk, moment: tuple[Script, Ready], how: Literal["fin", "rst", "half", "close"]
) -> tuple[float, Entry]:
    """Leave at a moment; returns after how many seconds the ledger saw it, and the entry.

    `half` is a FIN of a client that stays, `close` what a plain close() sends.
    """
    script, ready = moment
    prompt = desk.register(script)
    async with desk.client(prompt) as client:
        await ready(desk, prompt, client)
        left_s = time.monotonic()
        if how == "half":
            socket_of(client).shutdown(socket.SHUT_WR)
        elif how == "close":
            socket_of(client).close()
        else:
            client.leave(how)
        entry = desk.entry(prompt, "left")
        assert entry.left_s is not None
        return entry.left_s - left_s, entry


@at_every_moment
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_the_ledger_sees_a_client_leave_and_how(
    desk: Desk, moment: tuple[Script, Ready], how: Literal["fin", "rst"]
) -> None:
    seen_after_s, entry = asyncio.run(leave(desk, moment, how))

    assert entry.left == how
    assert seen_after_s < SEEN_S


@at_every_moment
def test_a_fin_is_seen_also_when_no_reset_follows(desk: Desk, moment: tuple[Script, Ready]) -> None:
    seen_after_s, entry = asyncio.run(leave(desk, moment, "half"))

    assert entry.left == "fin"
    assert seen_after_s < SEEN_S


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_leaves_between_two_writes_is_seen_as_it_left(
    desk: Desk, how: Literal["fin", "rst"]
) -> None:
    """Then a write fails before a read has seen anything; of twenty clients, some hit it."""
    moments = [(Script((Firehose(),)), when_read(100_000 + 9_999 * i)) for i in range(20)]

    entries = [asyncio.run(leave(desk, moment, how))[1] for moment in moments]

    assert [entry.left for entry in entries] == [how] * 20


def test_a_close_with_unread_bytes_is_a_reset(desk: Desk) -> None:
    """As RFC 9293, section 3.6.1 has it. It is what most HTTP clients do when they leave."""
    _, entry = asyncio.run(leave(desk, MOMENTS["within a firehose that it does not read"], "close"))

    assert entry.left == "rst"


def test_an_answer_that_was_left_has_not_ended(desk: Desk) -> None:
    _, entry = asyncio.run(leave(desk, MOMENTS["between two tokens"], "fin"))

    assert (entry.ended, entry.ended_s) == (None, None)


def test_an_answer_that_was_left_is_not_played_on(desk: Desk) -> None:
    _, entry = asyncio.run(leave(desk, MOMENTS["between two tokens"], "fin"))

    ask(desk, Script((Pause(0.1),)))  # in which an answer that goes on sends ten tokens
    assert desk.entry(f"script:{entry.script}").tokens == entry.tokens


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_an_answer_that_had_ended_is_not_left(desk: Desk, how: Literal["fin", "rst"]) -> None:
    """The client leaves as soon as it has seen the end, a hundred times."""
    prompt = desk.register(tokens("x"))

    async def leave_at_the_end() -> None:
        async with Connection(desk) as connection:
            await connection.ask(prompt)
            if how == "rst":
                reset_on_close(connection.socket)

    for _ in range(100):
        asyncio.run(leave_at_the_end())

    entries = desk.entries(prompt)
    assert {(entry.ended, entry.left) for entry in entries} == {("complete", None)}


def test_a_client_that_leaves_after_a_cut_has_not_left(desk: Desk) -> None:
    prompt = desk.register(Script((Role(), Cut())))

    asyncio.run(read(desk, prompt))

    assert desk.entry(prompt, "ended").left is None
