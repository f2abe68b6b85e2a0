"""Buffers: where the bytes of an answer sit while its client reads nothing.

On the way from the upstream to the client there are six places, four of them in a kernel. Linux
shows for every socket what waits in its two queues, and the server says what it keeps itself.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.lab.bench.bench import Bench
from stages.lab.bench.leaving import COME_S, stalled
from stages.lab.processes.census import census
from stages.lab.processes.process import Process
from stages.lab.processes.serve import PLAIN, ServerOptions
from stages.lab.processes.targets import Target
from stages.lab.processes.until import NotInTime, until
from stages.lab.upstream.script import Role, Script, Token

TABLE = Path("/proc/net/tcp")  # by hand: the connections of psutil are without their queues
# An upstream that sends nothing is not enough: where its queue holds megabytes, a server can read
# from them for seconds before Linux lets it send again; and small buffers make TCP itself pause.
STILL_S = 1.0
TEXT = "x" * 4000  # few large tokens: the buffers are measured, and not the CPU
# 20 MB. Linux lets a send queue grow to 4 MB and a receive queue to 6 MB, unless told otherwise.
MUCH = Script((Role(), *[Token(TEXT)] * 5000))


class NotMeasured(Exception):
    """The bytes could not be found; the message says why."""


@dataclass(frozen=True)
class Buffers:
    """Where the bytes of one answer sat when the upstream could send no more of it.

    The fields after `complete` are the places, in the order of the way. Up to the application,
    bytes are those of the upstream's form, chunks of JSON; after it those of the server's own form,
    events. `application_bytes` is what the server has taken from the upstream and not handed on,
    computed as the rest; headers count as text, so it is right to a kilobyte.

    `tokens` and `sent_bytes` are what the upstream has sent. It is `complete` when that was all
    there was: nothing on the way has held it up.
    """

    tokens: int
    sent_bytes: int
    complete: bool
    upstream_send_queue_bytes: int
    server_receive_queue_bytes: int
    application_bytes: int
    write_buffer_bytes: int
    server_send_queue_bytes: int
    client_receive_queue_bytes: int

    @property
    def places(self) -> tuple[int, ...]:
        """The bytes in each of the six places, in the order of the way."""
        return (
            self.upstream_send_queue_bytes,
            self.server_receive_queue_bytes,
            self.application_bytes,
            self.write_buffer_bytes,
            self.server_send_queue_bytes,
            self.client_receive_queue_bytes,
        )

    @property
    def handed_on_bytes(self) -> int:
        """What the application has handed on, and the client has not read."""
        return sum(self.places[3:])


@dataclass(frozen=True)
class Queues:
    """What waits in the kernel's two queues of one socket, or of several together, in bytes.

    What was sent stands in `send` until the other side's kernel has it, and then in its `receive`.
    """

    send: int = 0
    receive: int = 0

    def __add__(self, other: "Queues") -> "Queues":
        return Queues(self.send + other.send, self.receive + other.receive)


def queues() -> dict[tuple[int, int], Queues]:
    """Return the queues of every TCP socket of this machine, by its own and the other's port.

    Raises NotMeasured where there is no /proc/net/tcp. Source: proc_net_tcp(5), tx_queue, rx_queue.
    """
    try:
        lines = TABLE.read_text().splitlines()[1:]
    except OSError as exc:
        raise NotMeasured(
            f"The queues of the kernel cannot be read here: there is no {TABLE}. Probably this is "
            "no Linux, and no other system shows them so. Measure on Linux, in a container or a "
            "virtual machine."
        ) from exc
    found = {}
    for _, local, remote, _, sizes, *_ in map(str.split, lines):
        send, receive = sizes.split(":")
        found[_port(local), _port(remote)] = Queues(int(send, 16), int(receive, 16))
    return found


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


async def where_bytes_sit(
    target: Target | str | int,
    *,
    options: ServerOptions = PLAIN,
    rcvbuf_bytes: int | None = None,
    upstream_sndbuf_bytes: int | None = None,
) -> Buffers:
    """Return where the bytes sit when a client asks for much text and then reads nothing.

    `SO_SNDBUF` of the server is in `options`; `rcvbuf_bytes` is `SO_RCVBUF` of the client. Needs
    Linux. Raises NotMeasured, and ProcessError when the server does not start or has ended.
    """
    queues()  # where it raises, nothing needs to be started
    with Bench(target, upstream_sndbuf_bytes=upstream_sndbuf_bytes) as bench:
        server = bench.shaped(options)
        growth = await _growth(bench, server)
        prompt = await bench.register(MUCH)
        body = bench.dialect.ask(prompt)
        async with bench.client_with(body, server=server, rcvbuf_bytes=rcvbuf_bytes):
            await stalled(bench, prompt)  # until then, there is nothing to be seen
            return await _at_rest(lambda: _measure(bench, server, prompt, growth))


async def _at_rest(measure: Callable[[], Awaitable[Buffers]]) -> Buffers:
    """Measure until nothing has moved for STILL_S."""
    last = deque[Buffers](maxlen=2)

    async def look() -> Sequence[Buffers]:
        last.append(await measure())
        return last

    def still(last: Sequence[Buffers]) -> bool:
        return len(last) == 2 and last[0] == last[1]

    try:
        return (await until(look, still, COME_S, "bytes at rest", every_s=STILL_S))[-1]
    except NotInTime as exc:
        raise NotMeasured(
            f"The bytes still moved after {COME_S:g} s. Probably nothing holds the server up and "
            "it reads slowly, or this machine is slow: 20 MB on loopback take a second. Measure a "
            "server that waits for its client, on a machine with nothing else to do."
        ) from exc


async def _growth(bench: Bench, server: Process) -> float:
    """Return how many bytes the server makes of one byte of the upstream's."""
    one, two = [await bench.ask(Script.answer(*[TEXT] * n), server=server) for n in (1, 2)]
    wire, text = two.client.wire, TEXT.encode()
    if one.entry is None or two.entry is None or wire.count(text) < 2:
        raise NotMeasured(
            f"{server.name} did not pass two tokens on: it answered {bytes(wire[:200])!r}. "
            "Probably it does not ask the upstream, or failed. Measure a server that passes the "
            f"text on. {server.log_tail()}"
        )
    return (wire.rindex(text) - wire.index(text)) / (two.entry.sent_bytes - one.entry.sent_bytes)


async def _measure(bench: Bench, server: Process, prompt: str, growth: float) -> Buffers:
    """Read off every place, one after the other: it is right when nothing moves."""
    entry, upstream = (await bench.entries(prompt))[-1], bench.upstream
    unsent_bytes = (await census(server)).unsent_bytes
    if entry.left is not None or not unsent_bytes:
        raise NotMeasured(
            f"{server.name} did not wait for its client: {entry.sent_bytes} bytes had been sent, "
            "and then it closed. Probably it gives up a client that reads nothing, or its upstream."
            f" Measure one that waits. {server.log_tail()}"
        )
    found = queues().items()
    of_upstream = _together(queue for (local, _), queue in found if local == upstream.port)
    to_upstream = _together(queue for (_, remote), queue in found if remote == upstream.port)
    of_server = _together(queue for (local, _), queue in found if local == server.port)
    of_client = _together(queue for (_, remote), queue in found if remote == server.port)
    handed_on_bytes = sum(unsent_bytes) + of_server.send + of_client.receive
    taken_bytes = entry.sent_bytes - of_upstream.send - to_upstream.receive
    return Buffers(
        entry.tokens,
        entry.sent_bytes,
        entry.ended is not None,
        of_upstream.send,
        to_upstream.receive,
        round(taken_bytes - handed_on_bytes / growth),
        sum(unsent_bytes),
        of_server.send,
        of_client.receive,
    )


def _together(found: Iterable[Queues]) -> Queues:
    return sum(found, Queues())
