"""The child process that quantizes: `python -m edgewright.models.quantizer SOURCE TARGET TYPE`.

TYPE is llama.cpp's number of the file type. With `-` for TARGET nothing is written, and it is only
said how large it would be. What it says is llama.cpp's own log, a line a tensor.
"""

from __future__ import annotations

import os
import sys

from .child import be_child


def main(source: str, target: str, kind: str) -> None:
    be_child()
    import cyllama.llama.llama_cpp as llama

    params = llama.LlamaModelQuantizeParams()
    params.ftype = int(kind)
    params.nthread = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    params.allow_requantize = True
    params.dry_run = target == "-"
    try:
        llama.model_quantize(source, target, params)
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
