"""Start a helper as `python -m MODULE` does: warm, or plain where that would be something else.

A plain start imports openai, fastapi and sqlalchemy, which takes a processor two seconds. A warm
one is forked by a parent that has them (`parent`, `warm`). `STAGES_START=plain` in the environment
asks for plain starts. Each plain start says why, in `Child.plain_because`.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from stages.lab.checkout import ROOT
from stages.lab.processes.children import Child, Plain
from stages.lab.processes.parent import Known, NotWarm

ASKED = "STAGES_START"
started = list[int]()  # the numbers of all that this process has started (`toll`)


def start(
    words: Sequence[str],
    *,
    env: Mapping[str, str],
    stdout: int,
    stderr: int = subprocess.STDOUT,
    passed: Sequence[int] = (),
    leash: bool = False,
    starts_more: bool = False,
) -> Child:
    """Return a child that runs `python -m WORDS`, in a session of its own: Ctrl-C is for us.

    `env` is added to our environment. `passed` are descriptors above 2 that it gets under the same
    numbers. With `leash`, its stdin ends when we do (see `leash`); otherwise it is empty.
    `starts_more` says that it starts helpers itself.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **env}
    with ExitStack() as stack:
        held = None
        if leash:
            stdin, held = os.pipe()
        else:
            stdin = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, stdin)
        streams = {0: stdin, 1: stdout, 2: stdout if stderr == subprocess.STDOUT else stderr}
        try:
            child = _warm_or_plain(words, env, streams, passed, starts_more)
        except BaseException:
            if held is not None:
                os.close(held)
            raise
    child.leash = held
    started.append(child.pid)
    return child


def _warm_or_plain(
    words: Sequence[str],
    env: Mapping[str, str],
    streams: Mapping[int, int],
    passed: Sequence[int],
    starts_more: bool,
) -> Child:
    try:
        if env.get(ASKED) == "plain":
            raise NotWarm(f"{ASKED}=plain asks for it.")
        request = {
            "words": words,
            "env": env,
            "cwd": str(Path.cwd()),
            "executable": sys.executable,
            "targets": [*streams, *passed],
            "starts_more": starts_more,
        }
        return Known.get().start(request, [*streams.values(), *passed])
    except (NotWarm, OSError) as exc:
        because = str(exc)
    return _plain(words, env, streams, passed, because)


def _plain(
    words: Sequence[str],
    env: Mapping[str, str],
    streams: Mapping[int, int],
    passed: Sequence[int],
    because: str,
) -> Child:
    popen = subprocess.Popen(
        [sys.executable, "-m", *words],
        pass_fds=passed,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        env=env,
        start_new_session=True,
    )
    return Plain(popen, because)
