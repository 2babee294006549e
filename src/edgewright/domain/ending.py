"""What is done when this process ends, and not when a fork of it does: that has the objects, and
none of the threads, servers and folders behind them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable


def at_exit(function: Callable[[], None]) -> None:
    """Has it called at the end of this process."""
    owner = os.getpid()

    def call() -> None:
        if os.getpid() == owner:
            function()

    atexit.register(call)
