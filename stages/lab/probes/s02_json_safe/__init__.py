"""The probes that s02 introduces: text and failure both arrive as data."""

from stages.lab.probes.s02_json_safe.failures import (
    failure_is_told,
    secrets_stay_in,
    truncation_is_told,
)
from stages.lab.probes.s02_json_safe.refusals import bad_request_is_422, refusal_has_status
from stages.lab.probes.s02_json_safe.silences import silence_is_bridged
from stages.lab.probes.s02_json_safe.texts import text_cannot_forge_events, text_survives
from stages.lab.probes.s02_json_safe.usage import usage_chunk_survives

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
