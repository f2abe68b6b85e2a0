"""What makes a forked child one that `python -m MODULE` has started: whether it can be, and how.

The state that a fork copies and that a start would make anew, and what becomes of it:

- arguments, environment, working directory, `sys.path`, descriptors and session are set here;
- `random` seeds itself again after a fork, `uuid` and `ssl` ask the kernel or know their process;
- no loop, pool, thread or open socket is in the parent, so none is shared;
- a variable that is read only while the interpreter starts or a library is imported has been read:
  where a start would read another value, there is no warm start (EARLY);
- the seed of `hash()` is the parent's, so sets of strings have one order in all its children.
"""

import fcntl
import os
import signal
import sys
import warnings
import wsgiref.handlers
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

# The beginnings of the names of variables that are read early. The interpreter and the C library
# read the first ones, imported libraries the others; a test records which.
EARLY = (
    *("PYTHON", "_PYTHON", "LC_", "LANG", "TZ", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "OPENSSL_"),
    *("AZURE_OPENAI_ENDPOINT", "DEFER_PYDANTIC_BUILD", "HOME", "OPENAI_API_TYPE"),
    *("OPENAI_API_VERSION", "OPENAI_LOG", "OTEL_", "PROMETHEUS_", "PSUTIL_", "PYDANTIC_"),
    *("WEBSOCKETS_", "prometheus_"),
)
# These are read early too, and set here. A parent has none of them.
GIVEN = {"PYTHONPATH": None, "PYTHONSAFEPATH": (None,), "PYTHONWARNINGS": (None, "ignore")}


@dataclass(frozen=True)
class Wanted:
    """A child that is asked for. `descriptors` become those of the same place in `targets`."""

    words: Sequence[str]
    env: dict[str, str]
    cwd: str
    executable: str
    targets: Sequence[int]
    starts_more: bool
    descriptors: Sequence[int] = ()

    def with_channel(self, channel: int) -> "Wanted":
        """Return it with one descriptor more, the last one."""
        targets = [*self.targets, max(self.targets) + 1]
        return replace(self, targets=targets, descriptors=[*self.descriptors, channel])

    def path(self, base: Sequence[str]) -> list[str]:
        """Return what `sys.path` would be. Source: PYTHONPATH, and `site.removeduppaths`."""
        asked = self.env.get("PYTHONPATH")
        places = asked.split(os.pathsep) if asked else []
        # Not a Path, which keeps "..".
        full = [os.path.normpath(os.path.join(self.cwd, place)) for place in places]  # noqa: PTH118
        return [self.cwd, *dict.fromkeys((*full, *base))]


def why_not(wanted: Wanted, base: Sequence[str], imported: Collection[str]) -> str | None:
    """Return why a fork of this process would not be what is wanted, or None when it would.

    `base` is `sys.path` without a PYTHONPATH, and `imported` names what has been imported of it.
    """
    if wanted.executable != sys.executable:
        return f"It is for another interpreter, {wanted.executable}."
    for name in sorted({*wanted.env, *os.environ}):
        value = wanted.env.get(name)
        if name in GIVEN:
            allowed = GIVEN[name]
            differs = allowed is not None and value not in allowed
        else:
            differs = name.startswith(EARLY) and value != os.environ.get(name)
        if differs:
            return f"The variable {name} is read early, and is {value!r} for this start only."
    for place in wanted.path(base):
        if place not in base and (other := _elsewhere(place, imported)):
            return f"There is another {other} in {place}, which a plain start would import."
    return None


def _elsewhere(place: str, imported: Collection[str]) -> str | None:
    """Return the name of a module that has been imported, and not from a place that has it too."""
    try:
        found = {entry.name.partition(".")[0] for entry in Path(place).iterdir()}
    except OSError:
        return None
    for name in sorted(found.intersection(imported)):
        spec = PathFinder.find_spec(name, [place])
        ours = sys.modules[name].__spec__
        if spec and spec.origin and (ours is None or spec.origin != ours.origin):
            return name
    return None


def become(wanted: Wanted, base: Sequence[str]) -> None:
    """Make this process, which has just been forked, the one that is wanted, up to its module."""
    _place(wanted.descriptors, wanted.targets)
    os.chdir(wanted.cwd)
    os.environ.clear()
    os.environ.update(wanted.env)
    wsgiref.handlers.BaseHandler.os_environ = wsgiref.handlers.read_environ()  # read at its import
    if wanted.env.get("PYTHONWARNINGS") == "ignore":
        sys.warnoptions.append("ignore")
        warnings.simplefilter("ignore")
    sys.path[:] = wanted.path(base)
    sys.orig_argv[1:] = ["-m", *wanted.words]
    sys.argv[1:] = wanted.words[1:]  # `runpy` sets the first one
    # Or what it defines would be among the names of ours, and `runpy` warn that it is there.
    sys.modules["__main__"] = main = ModuleType("__main__")
    main.__annotations__ = {}  # which a start makes as well
    sys.modules.pop(wanted.words[0], None)


def _place(descriptors: Sequence[int], targets: Sequence[int]) -> None:
    """Give descriptors other numbers, whichever of these they have now."""
    above = max(targets) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, target in zip(moved, targets, strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)


def tell(exc: BaseException) -> None:
    """Tell of an exception as the interpreter does, without our frame, and end as it does."""
    assert exc.__traceback__ is not None, exc
    exc = exc.with_traceback(exc.__traceback__.tb_next)
    sys.excepthook(type(exc), exc, exc.__traceback__)
    if isinstance(exc, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(1)
