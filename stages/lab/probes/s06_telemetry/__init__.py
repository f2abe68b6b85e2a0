"""The probes that s06 introduces: you can tell what happened without reading prompts."""

from stages.lab.probes.s06_telemetry.counts import (
    first_token_time_is_true,
    in_flight_returns_to_zero,
    logs_stay_private,
    metrics_match_ledger,
    request_id_everywhere,
)

PROBES = (
    metrics_match_ledger,
    first_token_time_is_true,
    in_flight_returns_to_zero,
    logs_stay_private,
    request_id_everywhere,
)
