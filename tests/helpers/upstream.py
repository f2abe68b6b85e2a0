"""A desk beside the scripted upstream: registers scripts, makes clients, reads the ledger."""

import itertools
import json
import socket
import struct
import sys
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import pytest

from stages.lab.clients.client import Client
from stages.lab.processes.process import Process
from stages.lab.processes.serve import upstream
from stages.lab.upstream.ledger import Entry, Milestone
from stages.lab.upstream.script import PREFIX, Script

# A request takes a millisecond. The rest is for a machine that does something else meanwhile.
DEADLINE_S = 20.0

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what only Linux tells")


class Desk:
    """The upstream in a process of its own, and what a test asks of it."""

    def __init__(self) -> None:
        self._names = itertools.count()
        self._process: Process = upstream()

    def __enter__(self) -> Self:
        self._process.__enter__()
        self.url = self._process.url
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=DEADLINE_S)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()
        self._process.__exit__(exc_type, exc, traceback)

    def register(self, script: Script) -> str:
        """Return the prompt that makes the upstream play this script."""
        response = self.http.put(f"/scripts/t{next(self._names)}", content=script.to_json())
        assert response.status_code == 200, response.text
        prompt: str = response.json()["prompt"]
        return prompt

    def entries(
        self, prompt: str, until: Milestone = "received", count: int = 0, deadline_s: float = 0.0
    ) -> list[Entry]:
        """Return the entries of a prompt, once `count` have come to `until`."""
        query: dict[str, str | float] = {"script": prompt.removeprefix(PREFIX)}
        query |= {"until": until, "count": count, "deadline_s": deadline_s}
        response = self.http.get("/ledger", params=query)
        assert response.status_code == 200, response.text
        return [Entry.from_json(document) for document in response.json()]

    def entry(self, prompt: str, until: Milestone = "received") -> Entry:
        """Return the one entry of a prompt that has come to `until`, waiting for it."""
        (entry,) = self.entries(prompt, until, count=1, deadline_s=DEADLINE_S / 2)
        assert entry.reached(until), f"never {until}: {entry}"
        return entry

    def stalled(self, prompt: str) -> Entry:
        """Return the entry of a firehose that waits for its client.

        To answer us, the upstream's loop turns several times, and a firehose that has room sends
        at each turn. So it waits when it has sent nothing from one of our questions to the next.
        """
        before = self.entry(prompt, "headers")
        for _ in range(2000):  # it takes a dozen, and one each time that the kernel finds more room
            after = self.entry(prompt)
            if after.sent_bytes == before.sent_bytes:
                return after
            before = after
        raise AssertionError(f"The firehose never waits: {after}")

    def client(self, prompt: str) -> Client:
        """Return a client that asks for a stream."""
        return Client(f"{self.url}/v1/chat/completions", chat(prompt))

    @property
    def resident_bytes(self) -> int:
        """The memory of the upstream that is in RAM now."""
        return psutil.Process(self._process.pid).memory_info().rss


def chat(prompt: str, *, stream: bool = True, **more: Any) -> bytes:
    """Return the body of a chat request."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": "m", "stream": stream, "messages": messages, **more}).encode()


def socket_of(client: Client) -> socket.socket:
    """Return the socket of a client, to do with it what no method does."""
    return client._socket


def segments_with_data(connection: socket.socket) -> int:
    """Return how many TCP segments with data have come (Linux).

    It is tcpi_data_segs_in of struct tcp_info, after 8 bytes, 24 u32, 4 u64 and 4 u32, in
    https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h
    """
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("I", info, 8 + 24 * 4 + 4 * 8 + 4 * 4)[0])
