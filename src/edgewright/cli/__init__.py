"""The command line: one thin command a function, no logic."""

from __future__ import annotations

import signal
import sys
import warnings


def main() -> None:
    """Run the command line; known errors are told in two lines, with exit status 1.

    Ctrl-C and SIGTERM end the turn that runs before the process, with status 130 and 143.
    """
    try:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        from ..domain.errors import EdgewrightError
        from .app import app
        from .output import tell, warned

        warnings.showwarning = warned
        try:
            app()
        except EdgewrightError as error:
            tell(error)
            sys.exit(1)
    except KeyboardInterrupt:  # typer sees to those that come later
        sys.exit(130)
    except RuntimeError as error:
        # Ctrl-C while a thread starts, at the wrong moment inside of Python's own locks, turns
        # into "release unlocked lock".
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        sys.exit(130)
