"""Is killed at import, without a word, as by a machine that is out of memory."""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
