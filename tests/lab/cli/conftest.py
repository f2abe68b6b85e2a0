"""What the tests of all commands start from: a command, and a stand-in for the lab."""

import pytest

from stages.lab.matrix import lanes
from tests.helpers.commands import Command, in_process
from tests.helpers.lab import Lab


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return in_process(capsys, monkeypatch)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab()
    monkeypatch.setattr(lanes, "tour", lab.tour)
    monkeypatch.setattr(lanes, "probe", lab.probe)
    return lab
