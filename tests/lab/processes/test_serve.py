"""Serve runs the app that was named, under real uvicorn, on loopback, with its options.

It does so from any working directory, and whatever proxies the environment names.
"""

import asyncio
import json
import re
import socket
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from stages.lab.clients.client import Client
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import ENGINES, PLAIN, ServerOptions, serve
from tests.helpers.places import SERVERS

REPORT = f"{SERVERS}/report.py:app"
NOWHERE = "http://127.0.0.1:9"  # an upstream that is never asked
SOON_S = 10.0  # what takes milliseconds; a machine may be busy


def get(process: Process) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(process.url, timeout=SOON_S) as response:
        body: bytes = response.read()
    return body


def report_of(options: ServerOptions, target: str = REPORT) -> dict[str, Any]:
    """Return what an app knows of a server with these options."""
    with serve(target, NOWHERE, options) as process:
        report: dict[str, Any] = json.loads(get(process))
    return report


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return report_of(PLAIN)


# The server.


def test_the_app_runs_under_real_uvicorn(plain: dict[str, Any]) -> None:
    assert re.fullmatch(r"uvicorn\.protocols\.http\.\w+\.RequestResponseCycle", plain["class"])


def test_it_listens_on_one_address_of_loopback_only() -> None:
    with serve(REPORT, NOWHERE) as process, socket.socket() as there, socket.socket() as elsewhere:
        reached = [
            there.connect_ex(("127.0.0.1", process.port)) == 0,
            elsewhere.connect_ex(("127.0.0.2", process.port)) == 0,  # would do for 0.0.0.0
        ]

    assert reached == [True, False]


def test_an_accepted_socket_sends_small_pieces_at_once(plain: dict[str, Any]) -> None:
    assert plain["nodelay"] == 1


# The shapes.


def test_a_plain_server_has_no_shape(plain: dict[str, Any]) -> None:
    seen = (plain["send"], plain["spec_version"], plain["collector"])

    assert seen == ("RequestResponseCycle.send", "2.3", True)


def test_middleware_stands_between() -> None:
    report = report_of(ServerOptions(middleware=True))

    seen = (report["send"].split(".")[0], report["spec_version"], report["collector"])
    assert seen == ("BaseHTTPMiddleware", "2.3", True)


def test_without_the_collector_there_is_none() -> None:
    report = report_of(ServerOptions(collector=False))

    seen = (report["send"], report["spec_version"], report["collector"])
    assert seen == ("RequestResponseCycle.send", "2.3", False)


def test_all_options_of_a_shape_hold_at_once() -> None:
    report = report_of(ServerOptions(middleware=True, asgi_2_4=True, collector=False))

    seen = (report["send"].split(".")[0], report["spec_version"], report["collector"])
    assert seen == ("BaseHTTPMiddleware", "2.4", False)


def test_an_accepted_socket_inherits_the_send_buffer() -> None:
    report = report_of(ServerOptions(sndbuf_bytes=16_384))

    assert report["sndbuf_bytes"] in (16_384, 32_768)  # Linux doubles it


@pytest.mark.parametrize("engine", ENGINES)
def test_as_asgi_2_4_a_send_to_a_client_that_has_left_raises(engine: str) -> None:
    async def leave_at_the_first_event(process: Process) -> None:
        async with Client(process.url, b"{}") as client:
            assert await client.read(lambda: bool(client.events), deadline_s=SOON_S)

    with serve(
        f"{SERVERS}/sends_on.py", NOWHERE, ServerOptions(asgi_2_4=True, engine=engine)
    ) as process:
        asyncio.run(leave_at_the_first_event(process))

    assert "send raised OSError" in process.log  # the server ends after the request, not before


# The engines.


def engine_of(report: dict[str, Any]) -> tuple[str, str]:
    """Return the parser and the loop that a server runs on, as its app sees them."""
    return report["class"].split(".")[3], report["loop"].split(".")[0]


def test_a_plain_server_runs_on_h11_and_asyncio_whatever_is_installed(
    plain: dict[str, Any],
) -> None:
    assert find_spec("httptools")
    assert find_spec("uvloop")
    assert engine_of(plain) == ("h11_impl", "asyncio")


def test_on_the_engine_uvloop_a_server_runs_on_httptools_and_uvloop() -> None:
    report = report_of(ServerOptions(engine="uvloop"))

    assert engine_of(report) == ("httptools_impl", "uvloop")


def test_a_host_that_is_told_no_engine_runs_on_h11_and_asyncio() -> None:
    with Process("The host", ["stages.lab.processes.host", REPORT]) as process:
        report = json.loads(get(process))

    assert engine_of(report) == ("h11_impl", "asyncio")


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^There is no engine 'auto'\. There are: asyncio, uvloop"
    ):
        ServerOptions(engine="auto")


def test_the_host_refuses_an_unknown_engine() -> None:
    host = Process("The host", ["stages.lab.processes.host", REPORT, "--engine", "auto"])

    with pytest.raises(ProcessError, match=r"--engine: invalid choice: 'auto' .*uvloop"), host:
        pass


# The targets.


def test_a_file_is_served_from_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")  # the lab's own modules must be found all the same

    report = report_of(PLAIN)

    assert report["cwd"] == str(tmp_path)


@pytest.mark.parametrize("target", ["a folder/server: 2.0.py:app", "report.py"])
def test_a_file_is_served_whatever_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    path = tmp_path / target.removesuffix(":app")
    path.parent.mkdir(exist_ok=True)
    copy(SERVERS / "report.py", path)
    monkeypatch.chdir(tmp_path)

    assert report_of(PLAIN, target)


def test_a_module_is_looked_for_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(SERVERS)

    assert report_of(PLAIN, "report:app")


def test_a_file_can_import_its_neighbours() -> None:
    with serve(f"{SERVERS}/imports_neighbour.py:server.inner", NOWHERE) as process:
        answer = get(process)

    assert answer == b"from next door"


# The environment.


def test_a_server_gets_what_the_sdk_reads() -> None:
    with serve(f"{SERVERS}/environment.py", "http://127.0.0.1:1", env={"PING_S": "7"}) as process:
        got = json.loads(get(process))

    assert got["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert got["OPENAI_API_KEY"]
    assert got["PING_S"] == "7"
