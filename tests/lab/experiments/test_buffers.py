"""`buffers` finds the bytes of an answer that its client does not read: all of them."""

import asyncio
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.lab import show
from stages.lab.experiments import buffers
from stages.lab.experiments.buffers import Buffers, NotMeasured, Queues, queues, where_bytes_sit
from stages.lab.processes.serve import ServerOptions
from stages.lab.sockets import listen
from tests.helpers.pictures import clashes
from tests.helpers.places import SERVERS

NOWHERE = "http://127.0.0.1:9"  # an upstream that is never asked
SMALL = ServerOptions(sndbuf_bytes=4096)
READ_BYTES = 400_000  # asyncio reads 256 KB at a time, and the HTTP library 64 KB of it
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "as the kernel likes": {},
    "small at the server": {"options": SMALL},
    "small everywhere": {"options": SMALL, "rcvbuf_bytes": 4096, "upstream_sndbuf_bytes": 4096},
}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the queues of a kernel are seen on Linux only"
)


@pytest.fixture(scope="module")
def measured() -> dict[str, Buffers]:
    async def measure() -> dict[str, Buffers]:
        s03 = "s03_disconnect_aware"
        return {name: await where_bytes_sit(s03, **how) for name, how in VARIANTS.items()}

    return asyncio.run(measure())


# What is measured.


def test_a_small_send_buffer_at_the_server_holds_several_times_fewer_bytes(
    measured: dict[str, Buffers],
) -> None:
    large, small = measured["as the kernel likes"], measured["small at the server"]

    assert large.handed_on_bytes > 4 * small.handed_on_bytes  # measured: 4.1 MB and 0.24 MB


def test_a_small_receive_buffer_at_the_client_holds_fewer_bytes(
    measured: dict[str, Buffers],
) -> None:
    large, small = measured["small at the server"], measured["small everywhere"]

    assert large.client_receive_queue_bytes > 4 * small.client_receive_queue_bytes


def test_a_small_send_buffer_at_the_upstream_holds_fewer_bytes(
    measured: dict[str, Buffers],
) -> None:
    large, small = measured["small at the server"], measured["small everywhere"]

    assert large.upstream_send_queue_bytes > 4 * small.upstream_send_queue_bytes


@pytest.mark.parametrize("name", VARIANTS)
def test_the_places_account_for_all_that_the_upstream_has_sent(
    measured: dict[str, Buffers], name: str
) -> None:
    one = measured[name]

    # The server makes 100 bytes of 104, and what it has handed on is counted in its own form.
    assert sum(one.places) == pytest.approx(one.sent_bytes, rel=0.05)
    assert one.sent_bytes == pytest.approx(one.tokens * 4200, rel=0.05)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_application_holds_what_its_reads_have_brought_and_no_more(
    measured: dict[str, Buffers], name: str
) -> None:
    assert -4000 < measured[name].application_bytes < READ_BYTES


def test_what_a_server_makes_larger_or_smaller_is_found_all_the_same() -> None:
    padded = asyncio.run(where_bytes_sit(f"{SERVERS}/pads.py"))

    assert padded.handed_on_bytes > 2_000_000  # of which half never came from the upstream
    assert -4000 < padded.application_bytes < READ_BYTES


@pytest.mark.parametrize("name", VARIANTS)
def test_the_write_buffer_is_full_where_asyncio_says_so(
    measured: dict[str, Buffers], name: str
) -> None:
    assert 65_536 <= measured[name].write_buffer_bytes < 2 * 65_536


@pytest.mark.parametrize("name", VARIANTS)
def test_the_upstream_is_held_up(measured: dict[str, Buffers], name: str) -> None:
    assert not measured[name].complete


def test_a_task_that_reads_ahead_keeps_all_in_the_application() -> None:
    read_ahead = asyncio.run(where_bytes_sit("s03_detached_reader"))

    assert read_ahead.complete
    assert read_ahead.application_bytes > read_ahead.sent_bytes / 2
    assert read_ahead.upstream_send_queue_bytes == read_ahead.server_receive_queue_bytes == 0


def test_what_was_measured_can_be_drawn(measured: dict[str, Buffers]) -> None:
    assert clashes(show.reservoirs(measured)) == []


# The kernel's queues.


def test_what_nobody_reads_is_in_the_receive_queue() -> None:
    with listen() as listener, socket.create_connection(listener.getsockname()) as one:
        other, _ = listener.accept()
        with other:
            one.sendall(b"12345")
            ports = other.getsockname()[1], one.getsockname()[1]

            found = queues()

    assert found[ports] == Queues(send=0, receive=5)


def test_what_the_other_kernel_does_not_take_is_in_the_send_queue() -> None:
    with listen() as listener, socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(listener.getsockname())
        other, _ = listener.accept()
        with other:
            other.setblocking(False)
            sent_bytes = other.send(bytes(1_000_000))  # some of it, and more than the other takes
            to, fro = one.getsockname()[1], other.getsockname()[1]

            found = queues()

    assert found[fro, to].send > 0
    # While an acknowledgement is on its way, what it is for stands on both sides.
    assert found[fro, to].send + found[to, fro].receive >= sent_bytes


# What cannot be measured.


async def why_not(target: str, **how: Any) -> str:
    with pytest.raises(NotMeasured) as caught:
        await where_bytes_sit(target, **how)
    return str(caught.value)


def test_a_system_without_proc_is_told_to_measure_on_linux(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffers, "TABLE", Path("/nowhere/net/tcp"))
    monkeypatch.setattr(buffers, "Bench", lambda *_, **__: pytest.fail("started servers"))

    said = asyncio.run(why_not("s03_disconnect_aware"))

    assert said == (
        "The queues of the kernel cannot be read here: there is no /nowhere/net/tcp. Probably this "
        "is no Linux, and no other system shows them so. Measure on Linux, in a container or a "
        "virtual machine."
    )


def test_a_server_that_does_not_ask_the_upstream_is_explained() -> None:
    said = asyncio.run(why_not(f"{SERVERS}/report.py"))

    assert re.match(
        r"The server .*report\.py:app did not pass two tokens on: it answered b'HTTP/1\.1 200 OK.*'"
        r"\. Probably it does not ask the upstream, or failed\. Measure a server that passes the "
        r"text on\. ",
        said,
    )


def test_a_server_that_gives_up_its_client_is_explained() -> None:
    said = asyncio.run(why_not(f"{SERVERS}/gives_up.py"))

    assert re.match(
        r"The server .*gives_up\.py:app did not wait for its client: \d+ bytes had been sent, and "
        r"then it closed\. Probably it gives up a client that reads nothing, or its upstream\. "
        r"Measure one that waits\. ",
        said,
    )


def test_a_server_in_which_the_bytes_still_move_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffers, "COME_S", 3.0)  # it does not come to rest, however long we wait

    said = asyncio.run(why_not(f"{SERVERS}/reads_slowly.py"))

    assert said == (
        "The bytes still moved after 3 s. Probably nothing holds the server up and it reads "
        "slowly, or this machine is slow: 20 MB on loopback take a second. Measure a server that "
        "waits for its client, on a machine with nothing else to do."
    )
