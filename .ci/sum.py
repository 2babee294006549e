"""Sums the closing lines of every pytest run in a log: N passed, N failed."""

import re
import sys
from pathlib import Path

AGAIN = "== what failed, once more"  # the Makefile's: those before it are run again
CLOSING = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s")

passed = failed = last = 0
for line in Path(sys.argv[1]).read_text("utf-8", "replace").splitlines():
    if line.startswith(AGAIN):
        failed -= last
    elif closing := CLOSING.match(line):
        counts = {word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", closing[1])}
        last = sum(counts.get(word, 0) for word in ("failed", "error", "errors"))
        passed += counts.get("passed", 0)
        failed += last
print(f"{passed} passed, {failed} failed")
