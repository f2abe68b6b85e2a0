"""Experiments: what a notebook measures that is no probe, for it has no verdict."""
