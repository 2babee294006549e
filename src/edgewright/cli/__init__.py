"""The command line: one thin command a function, no logic."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; known errors are told in two lines, with exit status 1."""
    from ..domain.errors import EdgewrightError
    from .app import app
    from .output import interrupted, tell

    try:
        app()
    except EdgewrightError as error:
        tell(error)
        sys.exit(1)
    except KeyboardInterrupt:
        interrupted()
        sys.exit(130)
