"""The probes that s06 introduces: you can tell what happened without reading prompts."""

from stages.lab.probes.s06_telemetry.counts import in_flight_returns_to_zero, metrics_match_ledger
from stages.lab.probes.s06_telemetry.first_token import first_token_time_is_true
from stages.lab.probes.s06_telemetry.privacy import logs_stay_private
from stages.lab.probes.s06_telemetry.request_ids import request_id_everywhere

PROBES = (
    metrics_match_ledger,
    first_token_time_is_true,
    in_flight_returns_to_zero,
    logs_stay_private,
    request_id_everywhere,
)
