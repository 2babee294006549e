"""Whether an answer can be held to a schema or grammar, known before it is asked for.

llama.cpp compiles these with LLGuidance, and where that fails, it answers freely without a word. So
LLGuidance is asked first: the one inside the library, because another version takes other schemas.
"""

from __future__ import annotations

import ctypes
import json
import logging
import re
from functools import cache, lru_cache
from typing import Any, Final

import anyio.to_thread

from ...domain.engine import LARK, Request
from ...domain.errors import EngineError
from . import server as llama

# JSON as Python writes it. Left free, small models fill an answer with blank lines.
SPACING: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

_EXCERPT = re.compile(r"\n +\d+(?: \||:) ")  # of the grammar, or of its own code

_log = logging.getLogger(__name__)


async def refuse_uncompilable(request: Request) -> None:
    """Raises EngineError for a schema, or a grammar in Lark, that LLGuidance cannot compile. One in
    GBNF is llama.cpp's own matter, and refused there."""
    if request.schema is not None:
        schema = json.dumps({**request.schema, "x-guidance": SPACING})
        grammar = f"{LARK} {{}}\nstart: %json {schema}"
    elif (request.grammar or "").startswith(LARK):
        grammar = str(request.grammar)
    else:
        return
    # Large ones take seconds.
    if why := await anyio.to_thread.run_sync(why_not, grammar):
        raise EngineError(
            f"The answer cannot be held to what is asked: {why}",
            hint="Simplify the schema or grammar.",
        )


@lru_cache(256)
def why_not(grammar: str) -> str:
    """What LLGuidance says against the grammar, in Lark; "" when nothing."""
    compiler = _compiler()
    if compiler is None:
        return ""
    library, options = compiler
    matcher = library.llg_new_matcher(options, b"lark", grammar.encode())
    try:
        said = (library.llg_matcher_get_error(matcher) or b"").decode("utf-8", "replace")
    finally:
        library.llg_free_matcher(matcher)
    if "unknown special token" in said:  # the model's, which are not known here
        return ""
    plain = _EXCERPT.split(said, maxsplit=1)[0]
    return " ".join(plain.split())[:400]


class _Tokenizer(ctypes.Structure):
    """LlgTokenizerInit of llguidance.h. What later versions add at its end is left at nothing."""

    _fields_ = (
        ("vocab_size", ctypes.c_uint32),
        ("tok_eos", ctypes.c_uint32),
        ("token_lens", ctypes.POINTER(ctypes.c_uint32)),
        ("token_bytes", ctypes.c_char_p),
        ("tokenizer_json", ctypes.c_char_p),
        ("tokenize_assumes_string", ctypes.c_bool),
        ("tokenize_fn", ctypes.c_void_p),
        ("use_approximate_greedy_tokenize_fn", ctypes.c_bool),
        ("tokenize_user_data", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
        ("more", ctypes.c_byte * 256),
    )


@cache
def _compiler() -> tuple[Any, Any] | None:
    """LLGuidance's functions and the options to give them, with a vocabulary of single bytes, which
    is all that it takes to compile. None where the library hides them, as on Windows."""
    library = ctypes.CDLL(llama.library().xllamacpp.__file__)
    try:
        library.llg_new_tokenizer.restype = ctypes.c_void_p
        library.llg_new_matcher.restype = ctypes.c_void_p
        library.llg_new_matcher.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        library.llg_matcher_get_error.restype = ctypes.c_char_p
        library.llg_matcher_get_error.argtypes = [ctypes.c_void_p]
        library.llg_free_matcher.argtypes = [ctypes.c_void_p]
    except AttributeError:
        _log.warning(
            "This build of llama.cpp does not let itself be asked whether it can hold answers to a "
            "schema: where it cannot, it answers freely."
        )
        return None
    end = b"\xff<end>"  # a mark that no text has
    vocabulary = _Tokenizer(
        vocab_size=257,
        tok_eos=256,
        token_lens=(ctypes.c_uint32 * 257)(*[1] * 256, len(end)),
        token_bytes=bytes(range(256)) + end,
        use_approximate_greedy_tokenize_fn=True,
    )
    error = ctypes.create_string_buffer(400)
    size = ctypes.c_size_t(len(error))
    tokenizer = library.llg_new_tokenizer(ctypes.byref(vocabulary), error, size)
    if not tokenizer:
        raise EngineError(f"LLGuidance cannot be asked: {error.value.decode()}")
    options = ctypes.create_string_buffer(1024)  # LlgConstraintInit, and room
    library.llg_constraint_init_set_defaults(options, ctypes.c_void_p(tokenizer))
    ctypes.memset(ctypes.byref(options, _LOG_LEVEL), 0, 4)
    return library, options


_LOG_LEVEL: Final = 12  # where LlgConstraintInit has the level of what is told on our stderr
