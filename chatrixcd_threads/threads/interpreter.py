"""How the interpreter shares itself between the threads."""

from __future__ import annotations

import gc
import sys
from typing import Final

SWITCH_INTERVAL: Final = 0.001  # seconds; keeps the sync loop and the console quick while workers compute


def share_well() -> None:
    """To be called once everything that lives as long as the process is made.

    What is there is not searched for garbage again: a full search holds up every thread, 40 ms here.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
