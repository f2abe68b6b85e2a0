"""The checkout: where the kit's files are, from any working directory."""

from pathlib import Path

from stages import catalog

ROOT = Path(catalog.__file__).resolve().parents[1]
