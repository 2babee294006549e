"""What an answer is held to, in the one form that Foundry Local keeps to everywhere."""

from __future__ import annotations

import json
import sys
from typing import Any

from ...domain.engine import Request
from ...domain.errors import EngineError, EngineUnavailableError

# JSON as the other engines hold it, with no blanks to fill an answer with.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def lark(request: Request) -> str:
    """What the answer is held to, as LLGuidance's Lark; "" when to nothing.
    Raises EngineError for a grammar that cannot be one.

    `no_forcing`: what can only come next is asked of the model all the same. The runtime cannot
    put bytes in front of it that are no whole character, and would break off within an emoji.
    """
    options: dict[str, Any] = {"no_forcing": True}
    if request.schema is not None:
        schema = {**request.schema, "x-guidance": _SPACING}
        rules = f"start: %json {json.dumps(schema)}"
    elif request.grammar is None:
        return ""
    elif request.grammar.startswith("%llguidance"):
        first, _, rules = request.grammar.partition("\n")
        options |= json.loads(first.removeprefix("%llguidance").strip() or "{}")
    else:
        try:
            from llguidance import gbnf_to_lark
        except ImportError as error:
            raise EngineUnavailableError(
                f"A grammar in GBNF needs LLGuidance: {error}",
                hint=f"{sys.executable} -m pip install 'edgewright[foundry]'",
            ) from error
        try:
            rules = gbnf_to_lark.any_to_lark(request.grammar)
        except Exception as error:  # of any kind: it is a converter by regular expressions
            raise EngineError(
                f"The answer cannot be held to what is asked: {error}",
                hint="Simplify the grammar.",
            ) from error
    return f"%llguidance {json.dumps(options)}\n{rules}"
