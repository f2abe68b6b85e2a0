"""s06 promises: you can tell what happened without reading prompts."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from stages.lab.bench.bench import Bench
from stages.lab.bench.scrape import parse
from stages.lab.clients.client import Client
from stages.lab.clients.dialects import DIALECTS
from stages.lab.doctor.model import DEFAULT_MODEL
from stages.lab.processes.serve import API_KEY, ServerOptions
from stages.lab.upstream.script import Pause, Refusal, Role, Script, Token
from tests.helpers.places import ROOT
from tests.helpers.until import until

COME_S = 20.0
TALKING = Script((Role(), *(Token(f"{i} ", delay_s=0.05) for i in range(600))))
STAGES = DIALECTS["stages"]
READY = "Application startup complete."


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench("s06_telemetry") as bench:
        yield bench


def lines(bench: Bench, word: str, count: int, options: ServerOptions | None = None) -> list[str]:
    """Return the lines of the log that begin with a word, once there are so many."""
    server = bench.server if options is None else bench.shaped(options)
    return until(
        lambda: [line for line in server.log.splitlines() if line.startswith(f"{word} ")],
        lambda found: len(found) >= count,
        f"log with {count} lines that begin with {word!r}",
        deadline_s=COME_S,
    )


async def refused(bench: Bench, given: str) -> Client:
    async with bench.client_with(b"{}", headers={"x-request-id": given}) as client:
        await client.read(deadline_s=COME_S)
    return client


def test_a_stream_has_a_line_at_its_start_and_one_at_its_end(bench: Bench) -> None:
    asyncio.run(bench.ask(Script.answer("a")))

    (admitted,) = lines(bench, "admitted", 1)
    (ended,) = lines(bench, "ended", 1)
    assert re.fullmatch(rf"admitted model={DEFAULT_MODEL} messages=1 request_id=\w{{32}}", admitted)
    assert re.fullmatch(
        r"ended outcome=completed events=1 duration_s=[\d.]+ request_id=\w{32}", ended
    )


def test_a_long_stream_is_seen_to_be_alive(bench: Bench) -> None:
    options = ServerOptions(env=(("PROGRESS_S", "0.1"),))

    async def run() -> None:
        script = Script((Role(), Token("a"), Pause(0.5)))
        await bench.ask(script, server=bench.shaped(options))

    asyncio.run(run())
    assert len(lines(bench, "streaming", 2, options)) >= 2  # measured: 4


def test_the_log_names_the_kind_of_a_failure_and_not_what_it_says(bench: Bench) -> None:
    asyncio.run(bench.ask(Script(refusal=Refusal(400, "your prompt was kookaburra"))))

    (problem,) = lines(bench, "problem", 1)
    assert "code=upstream_refused error=BadRequestError cause=NoneType status=400" in problem
    assert "kookaburra" not in bench.server.log


@pytest.mark.parametrize("given", ["a" * 65, "two words", "brackets[0]", "semi;colon"])
def test_an_id_that_could_do_harm_in_a_log_is_not_taken(bench: Bench, given: str) -> None:
    client = asyncio.run(refused(bench, given))

    assert re.fullmatch(r"\w{32}", client.headers["x-request-id"])


@pytest.mark.parametrize("given", ["a", "a" * 64, "req-1.2_3"])
def test_an_id_that_is_a_name_is_taken(bench: Bench, given: str) -> None:
    client = asyncio.run(refused(bench, given))

    assert re.fullmatch(rf"{given}\.\w{{8}}", client.headers["x-request-id"])


def test_every_status_has_the_id(bench: Bench) -> None:
    full = ServerOptions(env=(("MAX_STREAMS", "0"),))

    async def ask() -> list[Client]:
        prompts = [await bench.register(Script(refusal=Refusal(status))) for status in (429, 500)]
        clients = [bench.client(prompt) for prompt in prompts]
        clients.append(bench.client(prompts[0], server=bench.shaped(full)))
        for client in clients:
            async with client:
                await client.read(deadline_s=COME_S)
        return clients

    clients = asyncio.run(ask())
    assert [client.status for client in clients] == [429, 502, 503]
    assert all(client.headers["x-request-id"].encode() in client.body for client in clients)


def test_it_says_that_it_is_well(bench: Bench) -> None:
    response = httpx.get(f"{bench.server.url}/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_refusals_are_counted_by_their_code(bench: Bench) -> None:
    asyncio.run(refused(bench, "a"))

    page = parse(httpx.get(f"{bench.server.url}/metrics").text)
    assert page.at("gen_ai_server_problems_total", code="bad_request") == 1


PER_TOKEN = "gen_ai_server_time_per_output_token_seconds"


def test_the_time_for_a_token_is_that_between_two_of_them(bench: Bench) -> None:
    asyncio.run(bench.ask(Script.answer("a", "b", "c", delay_s=0.2)))
    lines(bench, "ended", 1)

    page = parse(httpx.get(f"{bench.server.url}/metrics").text)
    assert page.at(f"{PER_TOKEN}_count") == 1
    assert 0.15 < page.at(f"{PER_TOKEN}_sum") < 0.5  # 0.2 s, and what a busy machine adds


def test_a_stream_of_fewer_than_two_events_has_no_time_between_tokens(bench: Bench) -> None:
    """Nor a zero: it would be the best of the day."""
    server = bench.server

    async def run() -> None:
        prompt = await bench.register(Script((Role(), Token("a"), Token("b"), Pause(30.0))))
        async with bench.client(prompt) as client:
            await bench.entries(prompt, "headers", 1, COME_S)
            client.leave("rst")

    asyncio.run(run())
    lines(bench, "ended", 1)
    page = parse(httpx.get(f"{server.url}/metrics").text)
    events = int(re.findall(r"events=(\d+)", bench.server.log)[-1])
    assert page.at(f"{PER_TOKEN}_count") == (events > 1)


def test_no_label_has_a_value_that_a_client_chooses(bench: Bench) -> None:
    asyncio.run(refused(bench, "chosen-by-a-client"))

    assert "chosen-by-a-client" not in httpx.get(f"{bench.server.url}/metrics").text


@contextmanager
def two_workers(upstream_url: str, folder: Path) -> Iterator[str]:
    """Run the stage with two workers, as `uvicorn --workers 2` does; gives its address."""
    (folder / "metrics").mkdir()
    env = {
        **os.environ,
        "OPENAI_BASE_URL": f"{upstream_url}/v1",
        "OPENAI_API_KEY": API_KEY,
        "NO_PROXY": "*",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/usage.sqlite3",
    }
    command = ["uvicorn", "stages.s06_telemetry:app", "--port", "0", "--workers", "2"]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=env, stdout=log, stderr=log
        )
        try:
            yield ready(process, folder / "log")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(COME_S)


def ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the address of two workers once both are ready; fail with their log."""
    told = until(
        log.read_text,
        lambda told: told.count(READY) == 2 or process.poll() is not None,
        "pair of workers that are ready",
        deadline_s=COME_S,
    )
    found = re.search(r"http://127\.0\.0\.1:\d+", told)
    assert process.poll() is None, told
    assert found is not None, told
    return found[0]


@pytest.mark.slow("a server with two workers")
def test_two_workers_answer_for_each_other(bench: Bench, tmp_path: Path) -> None:
    async def ask(url: str, prompt: str) -> None:
        async with Client(url + STAGES.path, STAGES.ask(prompt)) as client:
            await client.read(deadline_s=COME_S)

    async def ask_all(url: str) -> None:
        prompt = await bench.register(Script.answer("a", "b", delay_s=0.05))
        await asyncio.gather(*(ask(url, prompt) for _ in range(40)))

    with two_workers(bench.upstream.url, tmp_path) as url:
        asyncio.run(ask_all(url))
        pages = [parse(httpx.get(f"{url}/metrics").text) for _ in range(10)]

    workers = {path.stem for path in (tmp_path / "metrics").glob("counter_*.db")}
    assert len(workers) == 2  # both of them had streams
    streams = {page.at("gen_ai_server_streams_total", outcome="completed") for page in pages}
    assert streams == {40}


@pytest.mark.slow("a server with two workers")
def test_two_workers_count_together_who_is_there(bench: Bench, tmp_path: Path) -> None:
    async def look(url: str) -> tuple[float, float]:
        prompt = await bench.register(TALKING)
        async with AsyncExitStack() as stack:
            for _ in range(10):
                client = Client(url + STAGES.path, STAGES.ask(prompt))
                await stack.enter_async_context(client)
                await begun(client)
            during = in_flight(url)
        after = await asyncio.to_thread(
            until,
            lambda: in_flight(url),
            lambda streams: streams == 0,
            "end of the streams",
            deadline_s=COME_S,
        )
        return during, after

    with two_workers(bench.upstream.url, tmp_path) as url:
        assert asyncio.run(look(url)) == (10, 0)


async def begun(client: Client) -> None:
    await client.read(lambda: len(client.events) > 0, deadline_s=COME_S)


def in_flight(url: str) -> float:
    return parse(httpx.get(f"{url}/metrics").text).at("gen_ai_server_streams_in_flight")
