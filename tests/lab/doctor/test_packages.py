"""The doctor on packages: what is missing or old is named, and what is not as tested."""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.lab.checkout import ROOT
from stages.lab.doctor import packages
from stages.lab.doctor.findings import INSTALL, Finding

NEEDED = {"fastapi": ("fastapi", "0.163"), "sse-starlette": ("sse-starlette", "3.7")}
PINS = {"fastapi": "0.163.2", "sse-starlette": "3.7.0", "h11": "0.16.0", "ruff": "0.17.5"}


def versions(**installed: str) -> Callable[[str], str | None]:
    return lambda name: installed.get(name.replace("-", "_"))


TESTED = versions(fastapi="0.163.2", sse_starlette="3.7.0", h11="0.16.0")


def test_packages_as_tested_are_one_line() -> None:
    assert packages.judge(NEEDED, PINS, TESTED) == [
        Finding("ready", "2 of 2 packages that the kit needs, in the versions that were tested")
    ]


def test_a_missing_package_is_named_and_says_how_to_get_it() -> None:
    found = packages.judge(NEEDED, PINS, versions(fastapi="0.163.2"))

    assert found[0] == Finding("missing", "sse-starlette is not installed", INSTALL)


def test_an_old_package_is_missing_what_is_taught() -> None:
    found = packages.judge(NEEDED, PINS, versions(fastapi="0.99.1", sse_starlette="3.7.0"))

    assert (found[0].grade, found[0].what) == (
        "missing",
        "fastapi 0.99.1 is too old: 0.163 is needed",
    )


def test_versions_are_compared_as_numbers() -> None:
    found = packages.judge({"rich": ("rich", "9.2")}, {}, versions(rich="14.0"))

    assert [finding.grade for finding in found] == ["ready"]


def test_another_version_than_the_tested_one_is_a_warning() -> None:
    newer = versions(fastapi="0.200", sse_starlette="3.7.0", h11="0.17.0")

    found = packages.judge(NEEDED, PINS, newer)

    assert (found[0].grade, found[0].what) == (
        "warning",
        "other versions than those tested (in brackets): "
        "fastapi 0.200 (0.163.2), h11 0.17.0 (0.16.0)",
    )


def test_a_pinned_tool_that_nobody_needs_may_be_absent() -> None:
    found = packages.judge(NEEDED, PINS, TESTED)

    assert not any("ruff" in finding.what for finding in found)


def test_without_constraints_nothing_is_said_of_tested_versions() -> None:
    found = packages.judge(NEEDED, {}, TESTED)

    assert [finding.what for finding in found] == ["2 of 2 packages that the kit needs"]


def test_what_the_kit_needs_stands_in_pyproject() -> None:
    needed = packages.required(ROOT)

    assert needed["sqlalchemy"] == ("sqlalchemy", "2.1")


def test_every_requirement_of_pyproject_is_understood() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = project.partition("dependencies = [")[2].partition("\n]")[0]

    needed = packages.required(ROOT)

    assert len(needed) == sum(line.strip().startswith('"') for line in listed.splitlines())


def test_what_was_tested_stands_in_constraints() -> None:
    assert packages.pinned(ROOT)["fastapi"].startswith("0.")


def test_without_a_checkout_nothing_was_tested(tmp_path: Path) -> None:
    assert packages.pinned(tmp_path) == {}


def test_without_a_checkout_the_installed_kit_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["fastapi>=0.163", 'ruff>=0.17; extra == "dev"', "sqlalchemy[asyncio]>=2.1"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)

    needed = packages.required(tmp_path)

    assert needed == {"fastapi": ("fastapi", "0.163"), "sqlalchemy": ("sqlalchemy", "2.1")}


# JupyterLab's kernel


@pytest.fixture
def kernel_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the kernel python3 one that runs this program."""
    from jupyter_client.kernelspec import KernelSpecManager

    def runs(program: str) -> None:
        spec = types.SimpleNamespace(argv=[program, "-m", "ipykernel_launcher"])
        monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: spec)

    return runs


def test_a_kernel_of_this_python_is_ready(kernel_runs: Callable[[str], None]) -> None:
    kernel_runs(sys.executable)

    assert packages.kernel() == Finding(
        "ready", "JupyterLab has the kernel python3, and it is this Python"
    )


def test_a_kernel_of_another_python_is_a_warning(kernel_runs: Callable[[str], None]) -> None:
    kernel_runs("/opt/other/bin/python")

    found = packages.kernel()

    assert (found.grade, found.what) == (
        "warning",
        "the kernel python3 is another Python: /opt/other/bin/python",
    )


def test_a_missing_kernel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def none(self: object, name: str) -> None:
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)

    assert packages.kernel() == Finding(
        "missing", "JupyterLab has no kernel named python3", INSTALL
    )


def test_a_missing_jupyterlab_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyter_client.kernelspec", None)

    assert packages.kernel().what == "JupyterLab is not installed"
