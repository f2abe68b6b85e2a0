"""Where things are in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGES = ROOT / "stages"
SERVERS = ROOT / "tests" / "servers"  # small apps and programs that tests start
