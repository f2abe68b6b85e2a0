"""A helper process is ready or explained within a deadline, its log is kept, and it never stays.

Whatever ends the parent, the helper ends too: an exception, Ctrl-C, a cancelled task, a notebook's
kernel that is interrupted or killed, SIGKILL.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from stages.lab.processes.process import LOG_TAIL_LINES, NotReady, Process, ProcessError
from stages.lab.processes.serve import serve
from tests.helpers.commands import gone
from tests.helpers.places import SERVERS
from tests.helpers.until import until

NOWHERE = "http://127.0.0.1:9"  # an upstream that is never asked
SOON_S = 10.0  # what takes milliseconds; a machine may be busy

only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="asks Linux for processes and descriptors"
)


def server(stem: str, **options: Any) -> Process:
    return serve(f"{SERVERS / stem}.py:app", NOWHERE, **options)


def get(process: Process, path: str = "/") -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(process.url + path, timeout=SOON_S) as response:
        body: bytes = response.read()
    return body


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def open_descriptors() -> int:
    return psutil.Process().num_fds()


def why_not(process: Process) -> str:
    """Return what is said about a process that does not start."""
    with pytest.raises(ProcessError) as caught, process:
        pass
    return str(caught.value)


# Ready, or explained.


def test_it_answers_as_soon_as_the_context_is_entered() -> None:
    with server("report") as process:
        answer = get(process)

    assert answer.startswith(b"{")


@pytest.mark.parametrize(
    ("stem", "end_of_log"),
    [
        ("import_error", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("startup_fails", "RuntimeError: the database is down"),
        ("no_such_file", f"There is no file {SERVERS / 'no_such_file.py'}, as seen from "),
    ],
)
def test_one_that_fails_to_start_is_explained_with_the_end_of_its_log(
    stem: str, end_of_log: str
) -> None:
    said = why_not(server(stem))

    what, why, do, log = (
        rf"The server {SERVERS}/{stem}\.py:app ended with exit code \d before it was ready\. ",
        r"Probably its import or its start-up failed; ",
        r"mend that, and start it again\. ",
        r"Its log ends with:\n    ",
    )
    assert re.match(what + why + do + log, said)
    assert end_of_log in said


def test_a_syntax_error_is_shown_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("def (\n")

    said = why_not(serve(f"{tmp_path}/server.py", NOWHERE))

    assert re.search(r'server\.py", line 1\n +def \(\n +\^\n +SyntaxError: invalid syntax$', said)


def test_one_without_an_app_says_how_to_name_it() -> None:
    said = why_not(server("no_app"))

    assert said.endswith(
        f"{SERVERS}/no_app.py has no 'app'. "
        f"Call its app so, or say its name: {SERVERS}/no_app.py:NAME"
    )


def test_an_app_that_is_none_is_shown() -> None:
    said = why_not(serve(f"{SERVERS}/no_app.py:settings", NOWHERE))

    assert said.endswith(
        f"'settings' in {SERVERS}/no_app.py is no ASGI app but {{'debug': True}}. "
        f"Say which one is: {SERVERS}/no_app.py:NAME"
    )


def test_one_that_a_signal_ended_is_explained_by_its_name() -> None:
    said = why_not(server("exits"))

    assert "ended by SIGKILL before it was ready" in said
    assert said.endswith("It wrote no log.")


@pytest.mark.parametrize(
    ("stem", "in_log"),
    [
        ("hangs", 'hangs.py", line 7 in <module>'),
        ("startup_hangs", "connecting to the database"),
    ],
)
def test_one_that_hangs_is_explained_with_where_it_stood(stem: str, in_log: str) -> None:
    # Two seconds: the import takes 0.2, and a busy machine must reach the line that hangs.
    said = why_not(server(stem, ready_s=2))

    what, why, do, log = (
        rf"The server {SERVERS}/{stem}\.py:app was not ready after 2 s and was killed\. ",
        r"Probably its import or its start-up waits for something that does not come; ",
        r"see below where it stood, or give it more time\. ",
        r"Its log ends with:\n    ",
    )
    assert re.match(what + why + do + log, said)
    assert in_log in said


@pytest.mark.parametrize(("stem", "kind"), [("hangs", NotReady), ("import_error", ProcessError)])
def test_one_that_hangs_is_told_from_one_that_failed_without_reading_the_message(
    stem: str, kind: type[ProcessError]
) -> None:
    # Ten seconds: one that fails takes 0.2, and a busy machine must not make a hang of it.
    ready_s = 0.1 if kind is NotReady else 10.0
    with pytest.raises(ProcessError) as caught, server(stem, ready_s=ready_s):
        pass

    assert type(caught.value) is kind


@only_linux
def test_one_that_hangs_is_gone_when_it_has_been_explained() -> None:
    process = server("hangs", ready_s=0.1)

    why_not(process)

    assert gone({process.pid})
    assert refuses(process.port)


# Its log.


def test_its_log_can_be_read_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # some images set it

    with server("talks") as process:
        get(process, "/now")

        assert "asked for /now" in process.log


def test_its_log_is_complete_after_it_has_ended() -> None:
    with server("talks") as process:
        pass

    assert re.findall(r"^line (\d+)$", process.log, re.M) == [str(i) for i in range(20_000)]


def test_its_log_has_what_it_said_before_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)

    with server("crashes") as process, suppress(OSError):
        get(process)

    assert process.log.endswith("got a request\n")


def test_a_message_shows_the_end_of_a_long_log_only() -> None:
    with server("talks") as process:
        pass

    first, *lines = process.log_tail().splitlines()
    assert first == "Its log ends with:"
    assert len(lines) == LOG_TAIL_LINES
    assert lines[-2].startswith("    INFO:     Application shutdown complete")


# It is gone, whatever ends the body.


@only_linux
def test_it_is_gone_after_the_body() -> None:
    with server("report") as process:
        pass

    assert gone({process.pid})
    assert refuses(process.port)


@only_linux
@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_gone_when_the_body_raises(exception: type[BaseException]) -> None:
    with pytest.raises(exception), server("report") as process:
        raise exception

    assert gone({process.pid})
    assert refuses(process.port)


@only_linux
def test_it_is_gone_when_the_task_is_cancelled() -> None:
    async def hold(started: asyncio.Future[int]) -> None:
        with server("report") as process:
            started.set_result(process.pid)
            await asyncio.Event().wait()

    async def cancel() -> int:
        started: asyncio.Future[int] = asyncio.Future()
        task = asyncio.create_task(hold(started))
        pid = await started
        task.cancel()
        await asyncio.wait([task])
        return pid

    pid = asyncio.run(cancel())

    assert gone({pid})


@only_linux
def test_it_leaves_no_zombie() -> None:
    with server("report") as process:
        pass

    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


@only_linux
def test_five_in_a_row_leave_no_descriptor_open() -> None:
    before = open_descriptors()

    processes = [server("report") for _ in range(5)]
    for process in processes:
        with process:
            pass

    assert open_descriptors() == before


@only_linux
def test_one_that_does_not_start_leaves_no_descriptor_open() -> None:
    before = open_descriptors()

    process = server("exits")
    why_not(process)

    assert open_descriptors() == before


def test_a_crash_is_seen_by_its_exit_code() -> None:
    with server("crashes") as process:
        with suppress(OSError):
            get(process)

        assert process.wait(SOON_S)
        assert process.exit_code == 7


@only_linux
def test_what_it_started_ends_with_a_crash() -> None:
    with server("crashes") as process:
        started = re.match(r"started (\d+)", process.log)
        with suppress(OSError):
            get(process)
        process.wait(SOON_S)

    assert started
    assert gone({int(started[1])})


@only_linux
def test_what_it_started_ends_with_it() -> None:
    with server("crashes") as process:
        started = re.match(r"started (\d+)", process.log)

    assert started
    assert gone({int(started[1])})


@only_linux
def test_one_that_is_forgotten_is_gone() -> None:
    def forget() -> int:
        process = server("report")
        process.__enter__()
        process._stack.pop_all()  # which holds on to it, as a name in a notebook would
        return process.pid

    with pytest.warns(ResourceWarning):
        pid = forget()

    assert gone({pid})


# One that does not end.


def refuse_to_end() -> NoReturn:
    with server("deaf", grace_s=0.2):
        raise ValueError("of the body")


def test_one_that_ignores_sigterm_is_an_error() -> None:
    process = server("deaf", grace_s=0.2)

    with pytest.raises(ProcessError) as caught, process:
        pass

    what, why, do, log = (
        rf"The server {SERVERS}/deaf.py:app had not ended 0\.2 s after SIGTERM and was killed\. ",
        r"Probably it waits for a stream that nothing ends, or does not listen to SIGTERM\. ",
        r"Let its clients leave first, or give it more time\. ",
        r"Its log ends with:\n    ",
    )
    assert re.match(what + why + do + log, str(caught.value))
    assert "(most recent call first)" in str(caught.value)


@only_linux
def test_one_that_ignores_sigterm_is_killed() -> None:
    with suppress(ProcessError), server("deaf", grace_s=0.2) as process:
        pass

    assert gone({process.pid})
    assert refuses(process.port)


def test_one_that_ignores_sigterm_does_not_hide_what_the_body_raised() -> None:
    with pytest.raises(ValueError, match=r"^of the body$"):
        refuse_to_end()


@pytest.fixture
def alarm_interrupts() -> Iterator[None]:
    """SIGALRM raises KeyboardInterrupt, as Ctrl-C does."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm_interrupts")
def test_an_interrupt_while_it_starts_ends_it() -> None:
    process = server("hangs")
    signal.setitimer(signal.ITIMER_REAL, 0.5)

    with pytest.raises(KeyboardInterrupt), process:
        pass

    assert process.exit_code == -signal.SIGKILL


@pytest.mark.usefixtures("alarm_interrupts")
def test_an_interrupt_while_it_ends_kills_it_at_once() -> None:
    process = server("deaf", grace_s=1000)  # more than the test's own limit

    with pytest.raises(KeyboardInterrupt), process:
        signal.setitimer(signal.ITIMER_REAL, 0.5)

    assert process.exit_code == -signal.SIGKILL


# The parent is a process of its own here.

HOLDS = """
import os, signal, sys
from stages.lab.processes.serve import serve
with serve(sys.argv[1], "http://127.0.0.1:9") as server:
    os.write(int(sys.argv[2]), f"{server.pid} {server.port}\\n".encode())
    signal.pause()
"""


@contextmanager
def parent(*, closed: str = "") -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A parent that holds a server: its process, the server's pid, and the server's port."""
    told, tells = os.pipe()
    argv = [sys.executable, "-c", HOLDS, f"{SERVERS}/report.py", str(tells)]
    holder = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *argv],
        stderr=subprocess.PIPE,
        text=True,
        cwd=SERVERS.parents[1],
        pass_fds=[tells],
        start_new_session=True,
    )
    os.close(tells)
    with holder, os.fdopen(told) as lines:
        try:
            pid, port = lines.readline().split()
            yield holder, int(pid), int(port)
        finally:
            holder.kill()


@only_linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_it_is_gone_when_its_parent_is_killed(number: signal.Signals) -> None:
    with parent() as (holder, pid, port):
        holder.send_signal(number)

        assert gone({pid})
        # The parent of warm starts ends by the same kill, and may let go of the port a bit later.
        until(lambda: refuses(port), bool, f"silence at port {port}")


@only_linux
def test_it_is_gone_after_ctrl_c_in_the_terminal() -> None:
    with parent() as (holder, pid, _):
        os.killpg(holder.pid, signal.SIGINT)  # what a terminal does
        _, errors = holder.communicate(timeout=SOON_S)

        assert gone({pid})
    assert errors.rstrip().endswith("KeyboardInterrupt")


@only_linux
def test_ctrl_c_in_the_terminal_reaches_its_parent_only() -> None:
    with server("report") as process:
        session = os.getsid(process.pid)

    assert session == process.pid


@only_linux
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_it_starts_when_its_parent_has_no_stdin_or_stdout(closed: str) -> None:
    with parent(closed=closed) as (_, _, port):
        assert not refuses(port)


def test_it_starts_when_tmpdir_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", None)

    with server("report") as process:
        assert get(process)


# The parent is a notebook's kernel.

SET_UP = f"""
import asyncio, sys
sys.path.insert(0, {str(SERVERS.parents[1])!r})
import nest_asyncio
nest_asyncio.apply()
from stages.lab import Bench

async def hold():
    with Bench({str(SERVERS / "report.py")!r}) as bench:
        print(bench.server.pid, bench.upstream.pid, flush=True)
        while True:  # ipykernel sees an interrupt of an `await` only when its loop wakes
            await asyncio.sleep(0.1)
"""


@contextmanager
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(extra_arguments=["--log-level=ERROR"])
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        run(client, SET_UP)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def run(client: BlockingKernelClient, cell: str) -> str:
    """Run a cell; returns its status."""
    reply = client.execute_interactive(cell, timeout=60, output_hook=lambda message: None)
    return str(reply["content"]["status"])


def hold(client: BlockingKernelClient, cell: str) -> list[int]:
    """Start a cell that holds a bench; returns the pids of what it has started."""
    request = client.execute(cell, stop_on_error=False)  # no cell after it is dropped
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == request:
            return [int(pid) for pid in message["content"]["text"].split()]


@pytest.fixture(scope="module")
def notebook() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    with kernel() as both:
        yield both


@only_linux
@pytest.mark.parametrize("cell", ["asyncio.run(hold())", "await hold()"])
@pytest.mark.slow("a kernel of its own")
def test_it_is_gone_when_the_cell_is_interrupted(
    notebook: tuple[KernelManager, BlockingKernelClient], cell: str
) -> None:
    manager, client = notebook
    pids = hold(client, cell)

    manager.interrupt_kernel()

    assert len(pids) == 2
    assert gone(set(pids))


@only_linux
def test_the_next_cell_works_after_an_interrupt(
    notebook: tuple[KernelManager, BlockingKernelClient],
) -> None:
    manager, client = notebook
    hold(client, "asyncio.run(hold())")

    manager.interrupt_kernel()

    assert run(client, "asyncio.run(asyncio.sleep(0))") == "ok"


@only_linux
@pytest.mark.parametrize("now", [True, False], ids=["killed", "shut down"])
@pytest.mark.slow("a kernel of its own")
def test_it_is_gone_when_the_kernel_is(now: bool) -> None:
    with kernel() as (manager, client):
        pids = hold(client, "asyncio.run(hold())")

        manager.shutdown_kernel(now=now)

        assert len(pids) == 2
        assert gone(set(pids))
