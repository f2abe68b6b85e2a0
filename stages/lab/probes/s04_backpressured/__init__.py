"""The probes that s04 introduces: every wait and every buffer has a bound."""

from stages.lab.probes.s04_backpressured.crowd import crowd_is_refused
from stages.lab.probes.s04_backpressured.readers import (
    backlog_is_bounded,
    slow_reader_frees_upstream,
    stalled_reader_is_cut,
)
from stages.lab.probes.s04_backpressured.silences import silent_upstream_is_cut
from stages.lab.probes.s04_backpressured.slots import slot_is_returned

PROBES = (
    stalled_reader_is_cut,
    slow_reader_frees_upstream,
    backlog_is_bounded,
    silent_upstream_is_cut,
    crowd_is_refused,
    slot_is_returned,
)
