"""The doctor on packages: what the kit needs, what is installed, and what was tested."""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from stages.lab.doctor.findings import INSTALL, Finding


def required(checkout: Path) -> dict[str, tuple[str, str]]:
    """Return the packages that the kit needs: name and lowest version, by normal name."""
    project = checkout / "pyproject.toml"
    if project.is_file():
        lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        lines = importlib.metadata.requires("llm-streaming-stages") or []
        lines = [line for line in lines if "extra ==" not in line]
    parts = [re.fullmatch(r"([\w.-]+)(?:\[.*\])?>=([\w.]+).*", line) for line in lines]
    return {normal(part[1]): (part[1], part[2]) for part in parts if part}


def pinned(checkout: Path) -> dict[str, str]:
    """Return the versions that were tested, by normal name; none without constraints.txt."""
    path = checkout / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    return {normal(name): version for name, _, version in pins if version}


def normal(name: str) -> str:
    """Return a package's name as they are compared. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(name: str) -> str | None:
    """Return the version of a package, None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def judge(
    needed: Mapping[str, tuple[str, str]],
    pins: Mapping[str, str],
    version: Callable[[str], str | None] = installed,
) -> list[Finding]:
    """Judge the packages: all that are needed are there, and all have the version of the pins."""
    findings = []
    for key, (name, lowest) in needed.items():
        have = version(key)
        if have is None:
            findings.append(Finding("missing", f"{name} is not installed", INSTALL))
        elif _order(have) < _order(lowest):
            what = f"{name} {have} is too old: {lowest} is needed"
            findings.append(Finding("missing", what, INSTALL))
    good = len(needed) - len(findings)
    others = [
        f"{name} {have} ({tested})"
        for name, tested in pins.items()
        if (have := version(name)) not in (None, tested)
    ]
    if others:
        what = f"other versions than those tested (in brackets): {', '.join(others)}"
        findings.append(Finding("warning", what, f"A verdict may differ. {INSTALL}"))
    if good:
        tested = ", in the versions that were tested" if pins and not others else ""
        what = f"{good} of {len(needed)} packages that the kit needs{tested}"
        findings.append(Finding("ready", what))
    return findings


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def kernel() -> Finding:
    """Judge the kernel that the notebooks ask for."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ModuleNotFoundError:
        return Finding("missing", "JupyterLab is not installed", INSTALL)
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("missing", "JupyterLab has no kernel named python3", INSTALL)
    program = str(spec.argv[0])
    if program != "python" and Path(program).absolute() != Path(sys.executable).absolute():
        return Finding(
            "warning",
            f"the kernel python3 is another Python: {program}",
            f"Notebooks would run there. Make it this one: {sys.executable} -m ipykernel "
            "install --sys-prefix",
        )
    return Finding("ready", "JupyterLab has the kernel python3, and it is this Python")
