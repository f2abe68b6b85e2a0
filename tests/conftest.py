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
from collections.abc import Sequence
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


# Before -m and -k leave out anything, so that a missing reason is met by both commands.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reason(item)


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
        listed = ", ".join(f"{why} ({count})" for why, count in whys.most_common())
        terminalreporter.write_line(f"{len(left)} left to {other}{listed and f': {listed}'}")
