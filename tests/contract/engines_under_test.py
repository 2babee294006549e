"""Of which engines the contract is asked: of EDGEWRIGHT_TEST_ENGINE alone, else of those that every
machine has.

The module NAME_engine.py has a fixture NAME, a loaded engine, and may have
- NAME_embedding, a fixture: one that was loaded for embeddings
- `working(engine)`, async: whether it computes anything
- KNOWN: what does not hold for it, by the name of the test, and why. A reason that ends in
  "(not run)" is of a test that is not run, for it takes minutes to fail
- HAS_MODEL = False for an engine that has no model to be asked
"""

from __future__ import annotations

import importlib
import os

ONLY = os.environ.get("EDGEWRIGHT_TEST_ENGINE")
ENGINES = {
    name: importlib.import_module(f"{name}_engine")
    for name in ([ONLY] if ONLY else ["llama_cpp", "openai", "scripted"])
}
