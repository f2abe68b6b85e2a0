"""The probes that s02 introduces: text and failure both arrive as data."""

from stages.lab.probes.s02_json_safe.failures import (
    bad_request_is_422,
    failure_is_told,
    refusal_has_status,
    secrets_stay_in,
    silence_is_bridged,
    text_cannot_forge_events,
    text_survives,
    truncation_is_told,
    usage_chunk_survives,
)

PROBES = (
    text_survives,
    text_cannot_forge_events,
    bad_request_is_422,
    refusal_has_status,
    failure_is_told,
    secrets_stay_in,
    truncation_is_told,
    usage_chunk_survives,
    silence_is_bridged,
)
