"""What an engine takes and gives with a model on this machine: load time, memory, prefill and
decode speed, measured in a fresh process of its own so that nothing before it counts.

All times are taken on this side of the engine, from the request to what comes of it, so that what
one engine says of itself and another does not plays no part. Each prompt begins as none did before,
so that no cache helps, except where a question about a prompt just read is timed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ..domain.engine import Chunk, Engine, Request, Usage
from ..domain.errors import EngineError
from ..domain.message import Message
from ..domain.setup import Setup
from ..models.child import ChildError, be_child, lines_of
from .perplexity import TEXT

MARK: Final = "edgewright-measured "  # begins our lines; libraries print others
ANSWER: Final = 24  # tokens
ROUNDS: Final = 3
READ: Final = 1200  # tokens: of longer prompts fewer are read, at least one
PATIENCE: Final = 90.0  # seconds; a longer prompt is left out where it would take more
ABOUT: Final = 512  # tokens of the prompt that questions are about

Step = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure: prompts of so many tokens, `questions` about one just read, and `together`
    requests at once. With nothing of it the model is loaded, and that is all."""

    sizes: tuple[int, ...] = ()
    questions: bool = False
    together: int = 0

    def steps(self) -> list[str]:
        """What will be told as it is begun, unless it is left out."""
        named = ["loading", *(f"prefill {size}" for size in self.sizes)]
        named += ["questions"] * self.questions + ["decode"] * bool(self.sizes)
        return named + [f"{self.together} at once"] * (self.together > 0)


@dataclass(slots=True)
class Figures:
    """`load` is seconds until the engine serves; `prefill` tokens/s by the prompt's tokens;
    `decode` tokens/s; `question` seconds that a one-token answer takes about a prompt of 512 tokens
    just read; `together` the tokens/s that all answers at once come to; `memory` bytes resident, of
    the process and those it started. 0: not measured."""

    load: float = 0.0
    prefill: dict[int, float] = field(default_factory=dict)
    decode: float = 0.0
    question: float = 0.0
    together: float = 0.0
    memory: int = 0


def measure(
    engine: str, setup: Setup, task: Task, *, within: float, on_step: Step = lambda step: None
) -> Figures:
    """What the engine of that name does, in a process that is ended after `within` seconds.

    Raises EngineError when it fails or does not end by then.
    """
    asked = {"setup": {**asdict(setup), "path": setup.path and str(setup.path)}, **asdict(task)}
    seen: dict[str, Any] = {}
    try:
        said = lines_of(__name__, engine, json.dumps(asked), within=within)
        with closing(said) as lines:
            for line in lines:
                if line.startswith(MARK):
                    heard = json.loads(line.removeprefix(MARK))
                    if step := heard.pop("step", None):
                        on_step(step)
                    seen.update(heard)
        if "error" in seen:
            raise EngineError(seen["error"], hint=seen["hint"])
        prefill = {int(size): rate for size, rate in seen.pop("prefill").items()}
        return Figures(prefill=prefill, **seen)
    except (ChildError, ValueError, TypeError, KeyError) as error:
        raise EngineError(f"{engine} could not be measured: {error}") from error


@dataclass(frozen=True, slots=True)
class Speed:
    """Of a model file: `load` seconds, `memory` bytes, `prefill` and `decode` tokens a second."""

    load: float
    memory: int
    prefill: float
    decode: float


def speed(model: Path) -> Speed:
    """The speed of the model in the embedded engine. Raises EngineError."""
    with model.open("rb") as file:  # into the disk cache
        while file.read(1 << 24):
            pass
    setup, size = Setup(model.stem, path=model, context=2048, slots=1), 192
    seen = measure("llama_cpp", setup, Task((size,)), within=600.0)
    return Speed(seen.load, seen.memory, seen.prefill[size], seen.decode)


# The child process


def main(name: str, asked: str) -> None:
    be_child()
    from ..domain.errors import EdgewrightError
    from ..engines.present import engine_class

    task = json.loads(asked)
    setup = task.pop("setup")
    setup["path"] = setup["path"] and Path(setup["path"])
    try:
        kind = engine_class(name)
        kind.status()  # imports its library
        _say(step="loading")
        began = time.perf_counter()
        engine = kind.open(Setup(**setup))
        figures = Figures(load=time.perf_counter() - began)
        try:
            asyncio.run(_measure(engine, Task(**task), figures))
            if not setup["endpoint"]:
                figures.memory = _resident()
        finally:
            engine.close()
        _say(**asdict(figures))
    except EdgewrightError as error:
        _say(error=str(error), hint=error.hint)
    except Exception as error:  # a plug-in may fail in any way
        _say(error=f"{type(error).__name__}: {error}", hint="")


def _say(**what: Any) -> None:
    print(f"\n{MARK}{json.dumps(what)}", flush=True)  # libraries leave lines unfinished


def _resident() -> int:
    import psutil

    process = psutil.Process()
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


async def _measure(engine: Engine, task: Task, figures: Figures) -> None:
    if not task.sizes:
        return
    reader = await _Reader.of(engine)
    for size in task.sizes:
        known = list(figures.prefill.values())
        if size + ANSWER > engine.context or (known and size / known[-1] > PATIENCE):
            continue
        _say(step=f"prefill {size}")
        rates = [await reader.rate(size) for _ in range(max(1, min(ROUNDS, READ // size)))]
        figures.prefill[size] = statistics.median(rates)
    if task.questions:
        _say(step="questions")
        figures.question = await reader.question(min(ABOUT, engine.context // 2))
    _say(step="decode")
    figures.decode = await reader.decode()
    if task.together:
        _say(step=f"{task.together} at once")
        figures.together = await reader.together(task.together)


@dataclass(frozen=True, slots=True)
class _Heard:
    """Of one answer: seconds to its first token and to its end, and its last chunk's usage."""

    first: float
    end: float
    usage: Usage


class _Reader:
    """Has an engine read, and takes the time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._text = TEXT.read_text("utf-8")
        self._at = 0
        self._characters = 4.0  # a token

    @classmethod
    async def of(cls, engine: Engine) -> _Reader:
        """The first request pays for what only a first one does, and is held to a schema, as an
        agent's are; the second tells how long the tokens are."""
        reader = cls(engine)
        hello = Request([Message("user", "Hello.")], max_tokens=4)
        if engine.capabilities.schema:
            schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 2}
            hello = replace(hello, schema=schema)
        await reader._ask(hello)
        text = reader._fresh(150)
        heard = await reader._ask(Request([Message("user", text)], max_tokens=1))
        if not heard.usage.prompt:
            raise EngineError("it does not say how many tokens a prompt has")
        reader._characters = len(text) / heard.usage.prompt
        return reader

    async def rate(self, size: int) -> float:
        """Prompt tokens a second, of a prompt of about that many."""
        heard = await self._ask(self._about(self._fresh(size), "What is this about?"))
        return max(heard.usage.prompt - heard.usage.cached, 1) / heard.first

    async def question(self, size: int) -> float:
        """Seconds of a one-token answer about a prompt that was just read."""
        text = self._fresh(size)
        await self._ask(self._about(text, "What is this about?"))
        asked = [f"Is it about {what}? Yes or no." for what in ("a candle", "the sea", "Rome")]
        return statistics.median([(await self._ask(self._about(text, q))).end for q in asked])

    async def decode(self) -> float:
        """Answer tokens a second."""
        heard = [await self._write(60, 2 * ANSWER) for _ in range(ROUNDS)]
        # The first token comes of the prefill. An answer of a few tokens tells little.
        rates = [
            (one.usage.completion - 1) / (one.end - one.first)
            for one in heard
            if one.usage.completion >= 8 and one.end > one.first
        ]
        if not rates:
            raise EngineError("its answers are too short, or come in one piece: nothing to time")
        return statistics.median(rates)

    async def together(self, many: int) -> float:
        """Answer tokens a second, of so many requests at once."""
        began = time.perf_counter()
        heard = await asyncio.gather(*(self._write(100, ANSWER) for _ in range(many)))
        return sum(one.usage.completion for one in heard) / (time.perf_counter() - began)

    async def _write(self, size: int, tokens: int) -> _Heard:
        """Some tokens of answer: the text goes on where it breaks off, where the engine continues
        messages, because an answer that is the model's own may end at once."""
        ask = Message("user", "Read to me, for as long as you can.")
        messages = [ask, Message("assistant", self._fresh(size))]
        if not self._engine.capabilities.continues:
            text = self._fresh(size)
            messages = [Message("user", f"{text}\n\nTell all of this again in your own words.")]
        return await self._ask(Request(messages, max_tokens=tokens, seed=1))

    def _about(self, text: str, question: str) -> Request:
        odds = 5 if self._engine.capabilities.logprobs else 0
        messages = [Message("system", text), Message("user", question)]
        return Request(messages, max_tokens=1, top_logprobs=odds)

    async def _ask(self, request: Request) -> _Heard:
        began, first, last = time.perf_counter(), 0.0, Chunk()
        async for chunk in self._engine.generate(request):
            if chunk.text and not first:
                first = time.perf_counter() - began
            last = chunk
        end = time.perf_counter() - began
        return _Heard(first or end, end, last.usage or Usage())

    def _fresh(self, tokens: int) -> str:
        """A text of about that many tokens, that begins as none did before, on any run."""
        length = int(tokens * self._characters)
        if self._at + length > len(self._text):
            self._at = 0
        begin, self._at = self._at, self._at + length
        return f"{secrets.token_hex(3)}: {self._text[begin : begin + length]}"


if __name__ == "__main__":
    main(*sys.argv[1:])
