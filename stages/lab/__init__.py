"""The lab: the instrument that measures the stages. Stages never import it.

Notebooks and scripts use what this module names. The names are looked up when they are used: the
upstream and the servers run as `python -m stages.lab.…`, and would import all of the lab to start.
"""

import importlib
from typing import Any

_FACE = {
    "Answer": "bench",
    "Bench": "bench",
    "Cell": "matrix",
    "Client": "clients",
    "Script": "script",
    "Verdict": "verdict",
    "ask": "bench",
    "ask_and_leave": "leaving",
    "probe": "matrix",
    "tour": "lanes",
}

__all__ = list(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FACE[name]}"), name)
