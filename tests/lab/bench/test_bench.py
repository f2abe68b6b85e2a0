"""A bench runs a server and the upstream behind it, asks, and knows what became of it on all sides.

Everything that it starts ends with it.
"""

import asyncio
import json
import re
import signal
import ssl
from collections.abc import Iterator
from typing import NoReturn

import pytest

from stages.lab.bench.bench import Answer, Bench, ask
from stages.lab.bench.verdict import Moment
from stages.lab.clients.client import Client
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import PLAIN, ServerOptions
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Cut, Finish, Pause, Role, Script, Token
from tests.helpers.places import SERVERS

SOON_S = 10.0  # what takes milliseconds; a machine may be busy


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench("s02_json_safe") as bench:
        yield bench


# Asking.


def test_a_question_is_answered_by_the_script(bench: Bench) -> None:
    answer = asyncio.run(bench.ask(Script.answer("Hello", " wor")))

    assert answer.told.text == "Hello wor"
    assert answer.told.kinds == ("token", "done")
    assert answer.client.ended == "clean"


def test_an_answer_has_the_entry_of_its_own_request(bench: Bench) -> None:
    answers = [asyncio.run(bench.ask(Script.answer("a"))) for _ in range(2)]

    asked = [answer.entry and answer.entry.asked["messages"][0]["content"] for answer in answers]
    assert asked[0] != asked[1]
    assert [answer.entry and answer.entry.ended for answer in answers] == ["complete"] * 2


def test_a_request_that_never_reached_the_upstream_has_no_entry(bench: Bench) -> None:
    answer = asyncio.run(bench.ask(Script.answer("a"), server=bench.without_upstream()))

    assert answer.entry is None
    assert answer.client.status == 502


def test_several_questions_are_asked_at_the_same_time(bench: Bench) -> None:
    async def together() -> dict[str, Answer]:
        # Each waits for a second: one after the other they could not be done in time.
        async with asyncio.timeout(4):
            return await bench.ask_all(
                {name: Script.answer(name, headers_after_s=1) for name in "abcdefgh"}
            )

    answers = asyncio.run(together())

    assert {name: answer.told.text for name, answer in answers.items()} == dict(
        zip("abcdefgh", "abcdefgh", strict=True)
    )


def test_when_one_of_several_questions_fails_no_other_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(1)

    async def ask(script: Script) -> NoReturn:
        if not script.steps:
            raise ConnectionRefusedError("Nobody listens.")
        await asyncio.Event().wait()
        raise AssertionError

    async def ask_both() -> int:
        with pytest.raises(ExceptionGroup, match="TaskGroup"):
            await bench.ask_all({"goes on": Script.answer("a"), "fails": Script()})
        return len(asyncio.all_tasks())

    monkeypatch.setattr(bench, "ask", ask)
    tasks = asyncio.run(ask_both())

    assert tasks == 1  # the one that counts


def test_asking_stops_no_client_to_load_certificates(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: pytest.fail("40 ms"))

    answer = asyncio.run(bench.ask(Script.answer("a")))

    assert answer.told.text == "a"


def test_at_the_deadline_the_client_leaves(bench: Bench) -> None:
    script = Script((Role(), Token("a"), Pause(60), Finish()))

    answer = asyncio.run(bench.ask(script, deadline_s=0.5))

    assert answer.client.ended == "left"


def test_a_question_can_be_asked_without_a_bench() -> None:
    answer = asyncio.run(ask(1, Script.answer("Hello")))

    assert (answer.told.text, answer.client.ended) == ("Hello", "clean")


@pytest.mark.parametrize("script", [Script((Token("a"), Cut())), Script.answer("a")])
def test_entries_are_waited_for(bench: Bench, script: Script) -> None:
    async def ask_and_wait() -> list[Entry]:
        prompt = await bench.register(script)
        async with bench.client(prompt):
            return await bench.entries(prompt, until="ended", count=1, deadline_s=SOON_S)

    entries = asyncio.run(ask_and_wait())

    assert [entry.ended for entry in entries] == ["complete" if len(script.steps) > 2 else "cut"]


def test_entries_without_a_prompt_are_all_there_are(bench: Bench) -> None:
    before = asyncio.run(bench.entries())
    asyncio.run(bench.ask(Script.answer("a")))
    after = asyncio.run(bench.entries())

    assert len(after) == len(before) + 1


def test_a_client_can_send_any_body(bench: Bench) -> None:
    async def ask_for_nonsense() -> Client:
        async with bench.client_with(b"{", headers={"x-request-id": "r1"}) as client:
            await client.read(deadline_s=SOON_S)
        return client

    client = asyncio.run(ask_for_nonsense())

    assert client.status == 422


def test_proxies_of_the_environment_disturb_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")  # needs a package that is not there
    monkeypatch.setenv("no_proxy", "localhost")  # as many machines have it

    answer = asyncio.run(ask(1, Script.answer("Hello")))

    assert answer.told.text == "Hello"


# The servers.


def test_the_plain_shape_is_the_server_of_the_bench(bench: Bench) -> None:
    assert bench.shaped(PLAIN) is bench.server


def test_the_server_without_an_upstream_is_started_once_and_kept(bench: Bench) -> None:
    assert bench.without_upstream() is bench.without_upstream()


def small_bench() -> Bench:
    return Bench(f"{SERVERS}/report.py")


def test_a_shape_is_started_once_and_kept() -> None:
    with small_bench() as bench:
        first, second = (bench.shaped(ServerOptions(middleware=True)) for _ in range(2))

        assert first is second
        assert first.exit_code is None


def loops(bench: Bench, *servers: Process) -> list[str]:
    """Return the loop that each of the servers runs on, as its app sees it."""

    async def loop(server: Process) -> str:
        async with bench.client_with(b"{}", server=server) as client:
            await client.read(deadline_s=SOON_S)
        report: dict[str, str] = json.loads(client.body)
        return report["loop"].split(".")[0]

    return [asyncio.run(loop(server)) for server in servers]


def test_every_server_of_a_bench_runs_on_its_engine() -> None:
    with Bench(f"{SERVERS}/report.py", engine="uvloop") as bench:
        shaped = bench.shaped(ServerOptions(middleware=True, engine="asyncio"))
        seen = loops(bench, bench.server, shaped, bench.without_upstream())

    assert seen == ["uvloop"] * 3


def test_on_a_bench_without_an_engine_a_shape_may_have_its_own() -> None:
    with small_bench() as bench:
        seen = loops(bench, bench.server, bench.shaped(ServerOptions(engine="uvloop")))

    assert seen == ["asyncio", "uvloop"]


def test_on_an_engine_too_a_shape_is_started_once_and_kept() -> None:
    with Bench(f"{SERVERS}/report.py", engine="uvloop") as bench:
        assert bench.shaped(PLAIN) is bench.shaped(ServerOptions(engine="uvloop"))


def test_an_unknown_engine_is_refused_before_anything_has_started() -> None:
    with pytest.raises(ValueError, match=r"There is no engine 'auto'\. There are: asyncio, uvloop"):
        Bench(1, engine="auto")


def test_everything_ends_with_the_bench() -> None:
    with small_bench() as bench:
        started = [
            bench.upstream,
            bench.server,
            bench.shaped(ServerOptions(collector=False)),
            bench.without_upstream(),
        ]

    assert len({process.pid for process in started}) == 4
    assert all(process.exit_code is not None for process in started)


def test_everything_ends_when_a_probe_raises() -> None:
    with pytest.raises(ValueError, match="of the probe"), small_bench() as bench:
        raise ValueError("of the probe")

    assert bench.upstream.exit_code is not None
    assert bench.server.exit_code is not None


def test_the_upstream_ends_when_the_server_does_not_start() -> None:
    bench = Bench(f"{SERVERS}/import_error.py")

    with pytest.raises(ProcessError, match=r"import_error\.py:app ended with exit code 1"), bench:
        pass

    assert bench.upstream.exit_code is not None


def test_an_upstream_that_has_failed_is_explained() -> None:
    with small_bench() as bench:
        bench.upstream.signal(signal.SIGKILL)
        bench.upstream.wait(SOON_S)

        with pytest.raises(ProcessError) as caught:
            asyncio.run(bench.register(Script()))

    assert re.match(
        r"The scripted upstream did not answer PUT /scripts/s1: ConnectError\(.*\)\. "
        r"Probably it has failed, which is a fault of the lab\. It wrote no log\.$",
        str(caught.value),
    )


# What is seen from outside.


def test_a_real_timeline_begins_with_the_request_and_ends_with_the_answer(bench: Bench) -> None:
    timeline = asyncio.run(bench.ask(Script.answer("a", delay_s=0.1))).timeline

    assert timeline[0] == Moment(0.0, "client", "sends the request")
    assert (timeline[-1].who, timeline[-1].what) == ("client", "end of the answer")
    assert [moment.at_s for moment in timeline] == sorted(moment.at_s for moment in timeline)
    whats = [moment.what for moment in timeline]
    assert whats.index("request") < whats.index("sends 'a'")
    assert whats.index("sends 'a'") < whats.index('token {"index": 0, "text": "a"}')
