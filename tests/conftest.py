"""What holds for every test: nothing can reach a paid provider, or any other machine.

And what a run leaves to another: a test with `@pytest.mark.slow("why")` runs in `make test-all`
only, and each run says at its end what it has left out.
"""

import atexit
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

# Servers and notebooks inherit these. Port 9 (discard) refuses: no machine runs that service today.
os.environ["OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"
os.environ["OPENAI_API_KEY"] = "sk-no-provider"

# No test touches the exercises of whoever runs it; notebooks inherit this, too.
SCRATCH = tempfile.mkdtemp()
os.environ["STAGES_WORK"] = f"{SCRATCH}/work"
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that connects to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            pytest.fail(f"A test tried to reach {address}. Tests talk to this machine only.")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


# --- what measures, and what only waits -----------------------------------------------------------

# What waits for a core is late, and says something of the machine. So these run alone, one after
# the other; the others wait for processes and deadlines, and two of them wait as well as one.
TESTS = Path(__file__).parent
MEASURE = [TESTS / "stages", TESTS / "notebooks", TESTS / "lab" / "checks" / "test_busy.py"]
MEASURE += [TESTS / "lab" / room for room in ("bench", "experiments", "matrix", "probes")]
MEASURE += [TESTS / "lab" / file for file in ("exercises/test_build.py", "cli/test_exercise.py")]
CHOSEN = os.environ.get("STAGES_TESTS")  # "measuring", "waiting", or not set: all


def measures(item: pytest.Item) -> bool:
    """Return whether a test holds a server to a time; notebooks do."""
    here = [item.path, *item.path.parents]
    return TESTS not in here or any(place in here for place in MEASURE)


# Around -m and -k. A missing reason is met by both commands; and what is slow is counted before one
# half goes, so that the half which runs last says it for both.
@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        reason(item)
    yield
    if CHOSEN:
        items[:] = [item for item in items if measures(item) == (CHOSEN == "measuring")]


# --- what is left to the other command ------------------------------------------------------------

LEFT: pytest.StashKey[list[pytest.Item]] = pytest.StashKey()
TO = {
    "not slow": "make test-all",
    "slow": "make test",
}  # what -m says in each, and who runs the rest


def reason(item: pytest.Item) -> str | None:
    """Return why a test is slow, None for one that is not; raises UsageError without a reason."""
    if (mark := item.get_closest_marker("slow")) is None:
        return None
    match mark.args:
        case (str(why),) if why.strip() and not mark.kwargs:
            return why
    raise pytest.UsageError(
        f"{item.nodeid} is marked slow and does not say why. Whoever reads what `make test` left "
        'out wants the reason. Write @pytest.mark.slow("a thousand streams").'
    )


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note what -m left out; -k is told apart by what it leaves out: slow tests and others."""
    config = items[0].config
    if {reason(item) is not None for item in items} == {config.option.markexpr == "not slow"}:
        config.stash.setdefault(LEFT, []).extend(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    left = config.stash.get(LEFT, [])
    if left and (other := TO.get(config.option.markexpr)):
        whys = Counter(filter(None, map(reason, left)))
        listed = "; ".join(f"{why} ({count})" for why, count in whys.most_common())
        terminalreporter.write_line(f"{len(left)} left to {other}{listed and f': {listed}'}")
