"""The engine that says what it was told to, for the contract suite. It has no model, and is asked
what can be asked of such."""

from __future__ import annotations

import pytest

from edgewright.engines.scripted import ScriptedEngine

HAS_MODEL = False


@pytest.fixture
def scripted() -> ScriptedEngine:
    return ScriptedEngine(["The sea is wide. The sea is deep."], loop=True, context=4096)
