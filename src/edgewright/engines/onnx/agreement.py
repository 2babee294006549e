"""Whether two engines run the same model: a conversion that forgot something answers otherwise."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from math import exp
from pathlib import Path
from typing import Final

from ...domain.engine import Engine, Request
from ...domain.errors import ConvertError
from ...domain.message import Message

# The least that will do, by precision. A faithful conversion has 0.97 unquantized; 4 bits take the
# smallest models down to 0.73, and then only gross mistakes show. See docs/engines/onnx.md.
LEAST: Final = {"fp32": 0.9, "fp16": 0.9, "int8": 0.5, "int4": 0.5}
CANDIDATES: Final = 20

# What is cut into tokens by rules that conversions lose: numbers, contractions, spaces, scripts.
PIECES: Final = (
    "On 23 March 1987, it's 12345.678 m.",
    "DON'T we'll  see\n\n\tdef f(x):\n    return x+1   \n",
    "Straße, naïve, 東京, שלום, عالم, 🙂👩‍👩‍👧",
    "$1,299.99!!! ... (50%-off)???\n\n",
    "HTTPServer2 snake_case camelCase",
)
QUESTION: Final = "Tell me how tides work, and who used them."
# An answer of which both are made to say the rest, so that many tokens can be compared. It is long
# enough to show whether far places in a text are told right.
ANSWER: Final = (
    "Tides are the rise and fall of the sea, caused by the pull of the Moon and the Sun on the "
    "turning Earth. Twice a day, in most places, the water comes up the beach and goes back. When "
    "the Sun and the Moon pull in one line, at new moon and at full moon, the tides are largest, "
    "and are called spring tides, though they have nothing to do with the season. A week later, "
    "when the two pull at right angles, the tides are smallest. Bays and channels change all of "
    "this: in the Bay of Fundy, in Canada, the water rises sixteen metres, and in the Baltic Sea "
    "hardly at all. Fishermen knew the hours of the tide long before anyone knew the reason. Mills "
    "stood on rivers near the coast, kept the high water behind a gate, and let it out over a "
    "wheel. Harbours that were too shallow at low water made ships wait outside, and pilots sold "
    "tables of the hours. "
)
REST: Final = (
    "Newton gave the first explanation, in 1687: the Moon pulls the near side of the Earth more "
    "than its centre, and the centre more than the far side. Today the tides are used to make "
    "electricity, for example at the mouth of the Rance, in France."
)


async def agreement(one: Engine, other: Engine) -> float:
    """How alike they are, 0 to 1: the likelihood of the next token that both share, as a mean over
    a text. 0 when they do not cut texts into as many tokens."""
    for piece in PIECES:
        said = [Message("user", piece)]
        if await one.count_tokens(said) != await other.count_tokens(said):
            return 0.0
    first, second = [await _odds(engine) for engine in (one, other)]
    if not first or len(first) != len(second):
        return 0.0
    return sum(map(_shared, first, second)) / len(first)


def _shared(here: dict[str, float], there: dict[str, float]) -> float:
    """The share of what is told of both, for what is less likely than that is not told."""
    both = sum(min(odds, there.get(text, 0.0)) for text, odds in here.items())
    return both / min(sum(here.values()), sum(there.values()))


async def _odds(engine: Engine) -> list[dict[str, float]]:
    """The likelihoods that the engine gives to the likeliest tokens at each place of the rest."""
    said = [Message("user", QUESTION), Message("assistant", ANSWER)]
    grammar = f"%llguidance {{}}\nstart: {json.dumps(REST)}"
    request = Request(said, max_tokens=200, top_logprobs=CANDIDATES, grammar=grammar)
    found: list[dict[str, float]] = []
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            for place in chunk.logprobs:
                odds: dict[str, float] = {}
                for token in place:
                    odds[token.text] = odds.get(token.text, 0.0) + exp(token.logprob)
                found.append(odds)
    return found


def check_onnx(folder: Path, file: Path, least: float = LEAST["int4"]) -> float:
    """Loads both, and says how alike they are. Raises ConvertError when they are not, EngineError
    and ModelFileError when one cannot be loaded."""
    from ..llama_cpp import LlamaCppEngine
    from .engine import OnnxEngine

    engines: list[Engine] = []
    try:
        engines.append(OnnxEngine(folder, context=1024, slots=1))
        engines.append(LlamaCppEngine(file, context=1024, slots=1))
        alike = asyncio.run(agreement(*engines))
    finally:
        for engine in engines:
            engine.close()
    if alike < least:
        raise ConvertError(
            f"The converted model does not answer as {file.name} does: it agrees to "
            f"{alike:.0%} on the next token.",
            hint="Nothing was kept. Use another engine for this model, or another --precision.",
        )
    return alike
