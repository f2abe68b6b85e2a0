"""The lab: the instrument that measures the stages. Stages never import it.

Notebooks and scripts use what this module names. The names are looked up when they are used: the
upstream and the servers run as `python -m stages.lab.…`, and would import all of the lab to start.
"""

import importlib
from typing import Any

# A module of the lab, and the names in it.
_FACE = {
    "bench.bench": "Answer Bench ask",
    "bench.leaving": "ask_and_leave has_read leave",
    "bench.scrape": "metrics_page scrape",
    "bench.verdict": "Verdict",
    "clients.client": "Client",
    "doctor.examine": "examine",
    "experiments.buffers": "where_bytes_sit",
    "experiments.series": "quantile",
    "matrix.cells": "Cell",
    "matrix.lanes": "probe tour",
    "processes.serve": "ServerOptions",
    "upstream.script": "Script Cut Done Empty Finish Firehose InBandError Pause Raw Refusal Role "
    "Token ToolCall Usage",
}
_MODULES = {  # what a notebook uses as `load.observe(…)`
    "accounts": "bench.accounts",
    "load": "experiments.load",
    "transports": "experiments.transports",
    "writes": "experiments.writes",
}
_PLACES = {name: place for place, names in _FACE.items() for name in names.split()}

__all__ = [*_PLACES, *_MODULES]  # noqa: PLE0604  # ruff takes what it cannot work out for no name


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
