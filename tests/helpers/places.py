"""Where things are in the checkout."""

from stages.lab.checkout import ROOT as ROOT

STAGES = ROOT / "stages"
SERVERS = ROOT / "tests" / "servers"  # small apps and programs that tests start
