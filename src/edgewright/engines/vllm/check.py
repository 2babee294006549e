"""What vLLM says of a launch line: its own argument parser is asked, in the Python that has it."""

from __future__ import annotations

import os
import subprocess
from typing import Final

from .scenarios import QUIET, Launch

WITHIN: Final = 60.0  # seconds; importing vLLM takes up to ten
ABSENT: Final = 3  # exit status
REFUSED: Final = 2  # as argparse ends
MOST: Final = 500  # characters of a complaint

SCRIPT: Final = f"""
import sys
from importlib.util import find_spec
if find_spec("vllm") is None:
    sys.exit({ABSENT})
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser(prog="vllm"))
arguments = parser.parse_args(sys.argv[1:])
try:
    validate_parsed_serve_args(arguments)
except (KeyError, TypeError, ValueError) as error:
    parser.error(str(error))
"""


def complaint(start: Launch, python: str, within: float = WITHIN) -> str:
    """What the vLLM of that Python has against the line, or why it could not be asked; "" when it
    takes the line. Nothing is loaded or fetched for it."""
    arguments = start.command(8000)[3:]
    env = {**os.environ, **QUIET, "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    env["PYTHONSAFEPATH"] = "1"  # nothing from the folder we are in is imported
    try:
        done = subprocess.run(
            [python, "-c", SCRIPT, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=env,
            timeout=within,
        )
    except subprocess.TimeoutExpired:
        return _unchecked(f"it took longer than {within:g} s")
    except (OSError, ValueError) as error:
        return _unchecked(str(error))
    if done.returncode == 0:
        return ""
    if done.returncode == ABSENT:
        return _unchecked(f"{python} does not have it (--python names one that does)")
    _, refused, why = done.stderr.partition("vllm: error: ")
    if done.returncode == REFUSED and refused:
        return f"vLLM does not take this line: {_short(why)}"
    return _unchecked(_short((done.stderr.strip().splitlines() or ["it ended without a word"])[-1]))


def _unchecked(why: str) -> str:
    return f"Not checked against vLLM: {why}."


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST else text[:MOST] + "…"
