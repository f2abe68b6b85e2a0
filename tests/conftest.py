"""What holds for every test: nothing can reach a paid provider, or any other machine."""

import atexit
import os
import shutil
import socket
import tempfile
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
