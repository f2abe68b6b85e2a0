"""`run` and `upstream` serve in the foreground, say how to ask, and leave nothing behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from stages.lab.cli import addresses, run
from stages.lab.cli.console import UsageError
from stages.lab.clients.client import Client
from stages.lab.processes import serve
from tests.helpers.commands import (
    Command,
    Running,
    alive,
    descendants,
    gone,
    refuses,
    started,
)
from tests.helpers.until import SOON_S


def url_in(running: Running) -> str:
    return running.wait_for(r"runs at (http://\S+)\n")[1]


def curl_in(running: Running) -> str:
    """Return the command that is printed, as one copies it."""
    return running.wait_for(r"    (curl (?:.+\n)+)\n")[1]


def arrivals(lines: Iterable[bytes]) -> list[tuple[float, bytes]]:
    return [(time.monotonic(), line) for line in lines if line.startswith(b"data:")]


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    """Stage 2, served once for the tests that only look."""
    with started("run", "2", "--port", "0") as running:
        yield running


def test_the_printed_curl_line_shows_the_events_one_by_one(served: Running) -> None:
    line = curl_in(served)

    curl = subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, stderr=-3, bufsize=0)
    assert curl.stdout is not None
    with curl, curl.stdout:
        came = arrivals(iter(curl.stdout.readline, b""))

    assert json.loads(came[0][1].removeprefix(b"data:"))["index"] == 0
    assert b"finish_reason" in came[-1][1]
    assert came[-1][0] - came[0][0] > 0.2  # fifty tokens, 0.02 s apart: 1 s


def test_run_says_that_it_costs_nothing(served: Running) -> None:
    served.wait_for(r"on the scripted upstream at http://127\.0\.0\.1:\d+: no key, no cost\n")


def test_run_does_not_use_a_provider_of_the_environment_unasked(served: Running) -> None:
    # conftest.py sets both to what can answer nothing.
    served.wait_for(r"Not used: OPENAI_API_KEY, OPENAI_BASE_URL\. With --real they are\.\n")


def test_run_shows_the_servers_own_log(served: Running) -> None:
    httpx.post(f"{url_in(served)}/chat", json={}, trust_env=False)

    served.wait_for(r'"POST /chat HTTP/1\.1" 422')


def test_what_runs_is_what_is_measured_whatever_is_installed() -> None:
    with started("run", "tests/servers/report.py", "--port", "0") as running:
        report = httpx.get(url_in(running), trust_env=False).json()

    assert ("h11_impl" in report["class"], report["loop"].split(".")[0]) == (True, "asyncio")


def test_ctrl_c_ends_the_server_and_its_upstream() -> None:
    with started("run", "1", "--port", "0") as running:
        url = url_in(running)
        helpers = descendants(running.pid)

        code = running.end(signal.SIGINT)

    assert code == 0
    assert running.printed.endswith("\nStopped.\n")
    assert helpers
    assert alive(helpers) == set()
    assert refuses(url)


@pytest.mark.slow("an interrupt of a server in the foreground")
def test_ctrl_c_does_not_wait_for_a_stream_without_end() -> None:
    with started("run", "1", "--port", "0") as running:
        url = url_in(running)
        upstream = running.wait_for(r"upstream at (http://\S+):")[1]
        endless = {"steps": [{"do": "Token", "text": "a"}, {"do": "Pause", "seconds": 600}]}
        httpx.put(f"{upstream}/scripts/endless", json=endless, trust_env=False)
        body = b'{"messages": [{"role": "user", "content": "script:endless"}]}'

        async def ask_and_end() -> int:
            async with Client(f"{url}/chat", body) as client:
                assert await client.read(lambda: bool(client.events), deadline_s=SOON_S)
                return await asyncio.to_thread(running.end, signal.SIGINT)

        assert asyncio.run(ask_and_end()) == 0


@pytest.mark.slow("an interrupt of a server in the foreground")
def test_a_killed_run_leaves_neither_server_nor_upstream() -> None:
    with started("run", "1", "--port", "0") as running:
        url = url_in(running)
        helpers = descendants(running.pid)

        running.end(signal.SIGKILL)

    assert helpers
    assert gone(helpers)
    assert refuses(url)


def test_a_real_provider_is_used_when_asked_for() -> None:
    with serve.upstream() as provider:
        url = f"{provider.url}/v1"
        with started(
            "run", "2", "--port", "0", "--real", OPENAI_BASE_URL=url, OPENAI_API_KEY="sk-mine"
        ) as running:
            told = running.wait_for(r"on the real provider at (\S+): every request may cost money")
            chat = {"messages": [{"role": "user", "content": "hi"}]}
            httpx.post(f"{url_in(running)}/chat", json=chat, trust_env=False)
        ledger = httpx.get(f"{provider.url}/ledger", trust_env=False).json()

    assert told[1] == url
    assert [entry["request_headers"]["authorization"] for entry in ledger] == ["Bearer sk-mine"]


def test_a_real_provider_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(UsageError) as refused:
        run.real_provider()

    assert str(refused.value) == (
        "--real needs a provider, but neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. "
        "Set one of them, or leave out --real to use the scripted upstream."
    )


def test_a_local_provider_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")

    run.real_provider()

    assert os.environ["OPENAI_API_KEY"] == "none"


def test_a_key_alone_means_the_provider_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")

    assert "at https://api.openai.com/v1: every request may cost" in run.real_provider()


def test_a_file_that_cannot_be_imported_is_told_from_its_own_line_on(
    command: Command, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("app = nothing\n")

    ended = command("run", str(broken), "--port", "0")

    assert (ended.code, ended.err) == (
        1,
        f"Error: {broken} cannot be imported, so it is not served.\n\n"
        "Traceback (most recent call last):\n"
        f'  File "{broken}", line 1, in <module>\n    app = nothing\n          ^^^^^^^\n'
        "NameError: name 'nothing' is not defined\n\nMend that, and start it again.\n",
    )


def test_a_file_without_an_app_is_told_so(command: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.touch()

    ended = command("run", str(empty), "--port", "0")

    assert ended.code == 1
    assert ended.err.startswith(f"Error: {empty} has no 'app'.")


def test_an_app_that_does_not_start_says_where_to_look(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from fastapi import FastAPI\n"
        "async def lifespan(app):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "app = FastAPI(lifespan=lifespan)\n"
    )

    with started("run", str(own), "--port", "0") as running:
        code = running.end()

    assert code == 1
    assert "RuntimeError: no database" in running.printed
    assert running.printed.endswith(
        "did not start (exit code 3). Why stands in its log above; probably its lifespan raised.\n"
    )


# Addresses


def test_a_port_in_use_is_wrong_usage_and_says_what_to_do(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = command("run", "1", "--port", str(port))

    assert (ended.code, ended.err) == (
        2,
        f"Error: Port {port} of 127.0.0.1 is in use, probably by another server that still runs. "
        "Stop that one, or give another port; --port 0 takes any free one.\n",
    )


@pytest.mark.parametrize("port", [65536, -1])
def test_a_number_that_is_no_port_is_wrong_usage(port: int) -> None:
    with pytest.raises(
        UsageError, match=rf"^{port} is no port\. Give one up to 65535; 0 takes any"
    ):
        addresses.bind("127.0.0.1", port, 8000)


def test_a_port_of_the_system_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(host: str, port: int) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(addresses, "_listen", denied)

    with pytest.raises(UsageError, match="Port 80 may not be used: those below 1024"):
        addresses.bind("127.0.0.1", 80, 8000)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1 is no address of this machine"):
        addresses.bind("192.0.2.1", 0, 8000)


def test_without_a_port_the_usual_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        usual = probe.getsockname()[1]

    with addresses.bind("127.0.0.1", None, usual) as listener:
        assert addresses.url_of(listener) == f"http://127.0.0.1:{usual}"


def test_without_a_port_any_free_one_is_taken_when_the_usual_one_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]

        with addresses.bind("127.0.0.1", None, usual) as listener:
            assert listener.getsockname()[1] not in (0, usual)


def test_what_listens_everywhere_is_reached_at_loopback() -> None:
    with addresses.bind("0.0.0.0", 0, 8000) as listener:
        assert addresses.url_of(listener).startswith("http://127.0.0.1:")


def test_curl_goes_around_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")

    assert addresses.curl("http://127.0.0.1:1/", b"{}").startswith("curl -N --noproxy '*' http")


def test_a_long_body_for_curl_is_two_lines_of_the_same_json() -> None:
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "x" * 50}]})

    command = addresses.curl("http://127.0.0.1:1/", body.encode())

    assert max(map(len, command.splitlines())) < len(body)
    assert json.loads(command.partition("-d ")[2].strip("'")) == json.loads(body)


# upstream


def test_the_upstream_says_how_a_server_uses_it() -> None:
    with started("upstream", "--port", "0") as running:
        url = url_in(running)

        running.wait_for(rf"    export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=sk-scripted\n")


def test_the_printed_curl_line_of_the_upstream_works() -> None:
    with started("upstream", "--port", "0") as running:
        line = curl_in(running)

        ran = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)

    assert ran.stdout.endswith("data: [DONE]\n\n")


@pytest.mark.slow("an interrupt of a server in the foreground")
def test_ctrl_c_ends_the_upstream() -> None:
    with started("upstream", "--port", "0") as running:
        url = url_in(running)

        code = running.end(signal.SIGINT)

    assert (code, running.printed[-10:]) == (0, "\nStopped.\n")
    assert refuses(url)
