"""The matrix: all probes on all servers, beside what the catalogue expects."""
