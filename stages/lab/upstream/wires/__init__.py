"""Wires: a script's steps as the bytes of one provider's API, a module each."""
