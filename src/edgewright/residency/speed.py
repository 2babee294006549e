"""How fast a model is on this machine: measured in some seconds where its file is here, else
predicted from the measured ones. What was measured is kept in `speeds.json` under the data folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..domain.errors import EngineError
from ..models.child import ChildError, be_child, lines_of
from ..models.disk import write_whole
from ..models.store import home

if TYPE_CHECKING:
    from ..domain.engine import Chunk, Request
    from ..engines.llama_cpp import LlamaCppEngine

CONTEXT: Final = 512
ANSWER: Final = 16  # tokens
KEPT: Final = 256  # models
MAX_FILE: Final = 1 << 20  # bytes; what we write stays far below
# About 128 tokens in any vocabulary.
PROMPT: Final = (
    "The harbour lies open to the north. Every morning the boats leave before the light, and the "
    "women who mend the nets count them out and, in the evening, count them in again. There are "
    "forty boats, and the oldest belongs to a man called Anders, who has fished here for fifty "
    "years. He keeps a book in which he writes the wind, the catch and the price of cod, and he "
    "says that of the three the wind is the only one that never lied to him. In winter the ice "
    "closes the bay for two months, and then the whole town repairs what the sea has broken. Tell "
    "what is written in the book."
)


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second, of the prompt and of the answer; a model that embeds has no answer."""

    prefill: float
    decode: float = 0.0
    measured: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """What a fresh process saw. `memory` is the bytes that loading added to it, `answered` those
    after it had answered."""

    speed: Speed
    load_seconds: float
    memory: int
    answered: int


@dataclass(frozen=True, slots=True)
class Known:
    """A model whose speed was measured."""

    size: int  # bytes of weights
    parameters: int
    speed: Speed


def measure(path: Path, *, embeddings: bool = False) -> Measured:
    """Load the model in a process of its own and ask it once. Raises EngineError."""
    try:
        arguments = (str(path), "embed" if embeddings else "generate")
        with closing(lines_of("edgewright.residency.speed", *arguments)) as lines:
            said = list(lines)
        seen = json.loads(said[-1])
        return Measured(Speed(**seen.pop("speed")), **seen)
    except (ChildError, ValueError, TypeError, IndexError) as error:
        raise EngineError(f"the speed of {path} could not be measured: {error}") from error


def keep(path: Path, speed: Speed) -> None:
    """Keeps what was measured of the model in that file, where the disk takes it."""
    with contextlib.suppress(OSError):
        known = _kept()
        known.pop(key := _key(path), None)
        known[key] = [speed.prefill, speed.decode]
        said = {"machine": _machine(), "speeds": dict([*known.items()][-KEPT:])}
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(), json.dumps(said).encode())


def kept(path: Path) -> Speed | None:
    """What was last measured of that file on this machine."""
    try:
        prefill, decode = _kept()[_key(path)]
        return Speed(float(prefill), float(decode)) if prefill > 0 and decode >= 0 else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _file() -> Path:
    return home() / "speeds.json"


def _key(path: Path) -> str:
    from ..engines.files import file_key

    return file_key(path)


def _kept() -> dict[str, Any]:
    """By the file's key; nothing where the file is damaged, or another machine's."""
    try:
        with _file().open("rb") as file:
            said = json.loads(file.read(MAX_FILE))
        return dict(said["speeds"]) if said["machine"] == _machine() else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _machine() -> str:
    from ..engines.present import machine_key

    return machine_key()


def predicted(size: int, parameters: int, known: Sequence[Known]) -> Speed | None:
    """The speed of a model of `size` bytes from the measured one nearest to it in size: decoding
    reads all weights for each token, and prefill computes with every parameter. None where
    nothing was measured."""
    if not known:
        return None
    near = min(known, key=lambda one: abs(math.log(one.size / size)))
    return Speed(
        near.speed.prefill * near.parameters / parameters,
        near.speed.decode * near.size / size,
        measured=False,
    )


def main(path: str, what: str) -> None:
    """The child process."""
    be_child()
    import psutil

    from ..engines.llama_cpp import LlamaCppEngine
    from .fit import header_of
    from .memory import mapped

    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    LlamaCppEngine.status()  # imports the library
    into_memory = mapped(header_of(Path(path)))
    before, began = resident(), time.perf_counter()
    engine = LlamaCppEngine(
        path,
        context=CONTEXT,
        slots=1,
        embeddings=what == "embed",
        mapped=into_memory,
        template="chatml",  # the time that it takes is the same in any
    )
    load, loaded = time.perf_counter() - began, resident()
    try:
        speed = asyncio.run(_embed(engine) if what == "embed" else _answer(engine))
        seen = Measured(speed, load, loaded - before, resident() - before)
        print(json.dumps(asdict(seen)))
    finally:
        engine.close()


async def _answer(engine: LlamaCppEngine) -> Speed:
    from ..domain.engine import Request, Usage
    from ..domain.message import Message

    # First what only the first request pays for; held to a schema, as an agent's are.
    schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 2}
    await _ask(engine, Request([Message("user", "Hello.")], max_tokens=4, schema=schema))
    last = await _ask(engine, Request([Message("user", PROMPT)], max_tokens=ANSWER, seed=1))
    usage = last.usage or Usage()
    new, decoded = usage.prompt - usage.cached, max(usage.completion - 1, 1)
    if last.prefill_seconds <= 0 or last.decode_seconds <= 0:
        raise EngineError("the engine does not say how long it took")
    return Speed(new / last.prefill_seconds, decoded / last.decode_seconds)


async def _ask(engine: LlamaCppEngine, request: Request) -> Chunk:
    """The last chunk of the answer."""
    chunks = [chunk async for chunk in engine.generate(request)]
    return chunks[-1]


async def _embed(engine: LlamaCppEngine) -> Speed:
    from ..domain.message import Message

    whole, frame = [await engine.count_tokens([Message("user", text)]) for text in (PROMPT, "")]
    await engine.embed([PROMPT[::-1]])
    began = time.perf_counter()
    await engine.embed([PROMPT])
    return Speed((whole - frame) / (time.perf_counter() - began))


if __name__ == "__main__":
    main(*sys.argv[1:])
