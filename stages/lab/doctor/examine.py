"""The examination by the doctor: is this machine ready, and if not, what is missing?

Only the standard library is imported at the top: a package that is missing shall be found, and
nobody shall stumble over it.
"""

import asyncio
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from stages.lab.checkout import ROOT
from stages.lab.doctor import machine as machine
from stages.lab.doctor import model as model
from stages.lab.doctor import packages as packages
from stages.lab.doctor.findings import Finding

RUN_PORT = 8000
QUICK_S = 15  # a server starts in 2 s, and a workshop waits for it fifty times


def examine() -> Iterator[Finding]:
    """Examine this machine; yields each finding as it is made."""
    found = system(platform.system())
    yield found
    if found.grade == "missing":  # nothing below would run there
        return
    checks: tuple[Callable[[], Finding | list[Finding]], ...] = (
        lambda: Finding("ready", f"Python {platform.python_version()} in {sys.prefix}"),
        lambda: packages.judge(packages.required(ROOT), packages.pinned(ROOT)),
        packages.kernel,
        lambda: model.judge(model.listed()),
        machine.loopback,
        machine.clock,
        lambda: machine.port(RUN_PORT),
        lambda: machine.proxy(getproxies(), bypassed=bool(proxy_bypass("127.0.0.1"))),
        lambda: machine.open_files(machine.open_files_limit()),
        lambda: machine.disk(shutil.disk_usage(tempfile.gettempdir()).free // 1_000_000),
        lambda: machine.memory(Path("/proc/meminfo")),
        server,
    )
    for check in checks:
        try:
            result = check()
        except Exception as exc:  # one broken check must not hide the others
            what, remedy = f"a check itself failed: {exc!r}", "Please report this line."
            result = Finding("missing", what, remedy)
        yield from [result] if isinstance(result, Finding) else result


def system(name: str) -> Finding:
    """Judge the operating system."""
    if name in ("Linux", "Darwin"):
        mac = platform.mac_ver()[0]
        what = f"macOS {mac}" if mac else f"{name} {platform.release()}"
        return Finding("ready", f"{what} on {platform.machine()}")
    if name == "Windows":
        return Finding(
            "missing",
            "Windows: the servers are handed their sockets in a way that only Unix has",
            "Work in WSL: https://learn.microsoft.com/windows/wsl/install",
        )
    return Finding(
        "warning", f"{name}: nobody has tried the kit there", "Linux and macOS are fine."
    )


def server() -> Finding:
    """Judge whether stage 1 starts on the scripted upstream, and answers, and how soon."""
    from stages.lab.bench.bench import ask
    from stages.lab.processes.process import ProcessError
    from stages.lab.upstream.script import Script

    start_s = time.monotonic()
    try:
        answer = asyncio.run(ask(1, Script.answer("Hello")))
    except ProcessError as exc:
        return Finding("missing", f"stage 1 does not start. {exc}", "See the log above.")
    took_s = time.monotonic() - start_s
    if answer.told.text != "Hello":
        what = f"stage 1 answers {answer.told.text!r} instead of 'Hello'"
        return Finding("missing", what, "Run `python -m stages probe 1`, which shows why.")
    what = f"stage 1 started, answered and ended in {took_s:.1f} s"
    if took_s > QUICK_S:
        remedy = "A second run is faster. Otherwise close other programs, or plug in the laptop."
        return Finding("warning", what, remedy)
    return Finding("ready", what)
