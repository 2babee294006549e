"""Holding a model to a JSON Schema or a grammar: LLGuidance, over the vocabulary of a model.

The constraints are those of the embedded engine, by the same library. What it cannot compile is an
error, never free text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ...domain.engine import LARK, Request
from ...domain.errors import EngineError

# JSON as Python writes it. Left free, small models fill an answer with blank lines.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Guide:
    """Makes matchers for a model with these `tokens`, of which `special` are no text.

    `encode` gives the tokens of a text; `ends` are those that end an answer.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        special: Sequence[int],
        ends: Sequence[int],
        encode: Callable[[str], list[int]],
    ) -> None:
        import llguidance

        self._library: Any = llguidance
        wrapper = llguidance.TokenizerWrapper(_Vocabulary(tokens, special, ends[0], encode))
        self._tokenizer = llguidance.LLTokenizer(wrapper, eos_token=list(ends))

    def matcher(self, request: Request) -> Any:
        """What the request's answer is held to, an LLMatcher; None when to nothing.

        It may take seconds to make one. Raises EngineError for what cannot be held to.
        """
        matcher = self._library.LLMatcher
        try:
            if request.schema is not None:
                grammar = matcher.grammar_from_json_schema(
                    json.dumps(request.schema), overrides=_SPACING
                )
            elif request.grammar is not None:
                lark = request.grammar.startswith(LARK)
                kind = "lark" if lark else "gbnf"
                grammar = self._library.grammar_from(kind, request.grammar)
            else:
                return None
            made = matcher(self._tokenizer, grammar, log_level=0)
        except ValueError as error:
            raise _impossible(str(error)) from None
        check(made)
        return made


def check(matcher: Any) -> None:
    """Raises EngineError when the matcher is in an error, as for a constraint it cannot compile."""
    if matcher.is_error():
        raise _impossible(matcher.get_error())


def _impossible(why: str) -> EngineError:
    return EngineError(
        f"The answer cannot be held to what is asked: {why.strip()[:400]}",
        hint="Simplify the schema or grammar.",
    )


class _Vocabulary:
    """A model's vocabulary, in the form that LLGuidance takes one."""

    bos_token_id = None

    def __init__(
        self,
        tokens: Sequence[bytes],
        special: Sequence[int],
        end: int,
        encode: Callable[[str], list[int]],
    ) -> None:
        self.tokens = list(tokens)
        self.special_token_ids = list(special)
        self.eos_token_id = end
        self._encode = encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)
