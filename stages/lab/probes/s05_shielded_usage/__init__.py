"""The probes that s05 introduces: every stream is accounted for exactly once, however it ends."""

from stages.lab.probes.s05_shielded_usage.database import (
    database_down_costs_no_stream,
    storm_leaves_no_transaction,
)
from stages.lab.probes.s05_shielded_usage.ends import (
    completed_is_accounted,
    cut_is_accounted,
    failed_is_accounted,
    left_is_accounted,
)
from stages.lab.probes.s05_shielded_usage.stops import kill_is_visible, shutdown_is_accounted

PROBES = (
    completed_is_accounted,
    left_is_accounted,
    failed_is_accounted,
    cut_is_accounted,
    storm_leaves_no_transaction,
    shutdown_is_accounted,
    database_down_costs_no_stream,
    kill_is_visible,
)
