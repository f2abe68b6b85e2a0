"""Is imported by its neighbour."""

WORD = "from next door"
