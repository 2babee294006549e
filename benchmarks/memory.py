"""Peak memory of this process. Imports next to nothing, so as not to be what is measured.

`python -m benchmarks.memory` compares predicted with real memory: see `predicted.py`.
"""

from __future__ import annotations

import sys


def peak_mb() -> float:
    """Peak resident memory of this process, in MB (10^6 bytes).

    On Linux from VmHWM: unlike ru_maxrss it does not start from the parent's memory.
    """
    if sys.platform == "linux":
        with open("/proc/self/status") as status:  # noqa: PTH123 (pathlib is an import to measure)
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    from .predicted import main

    main()
