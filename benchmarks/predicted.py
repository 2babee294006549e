"""Predicted against real memory of models, at several contexts, each in a fresh process.

    python -m benchmarks.memory [--model NAME=FILE ...] [--no-write]

All models of the catalog that are here are measured. Real is what the process gained, over having
imported the library, once every slot has answered a prompt longer than a batch, held to a schema.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .peers import ROOT
from .report import done, machine, number, say, stamp, table, write_block

SETTINGS = ((512, 1), (4096, 1), (4096, 4), (8192, 4))  # tokens of context, slots
WORDS = 220  # of a prompt


@dataclass(frozen=True)
class Model:
    name: str
    path: Path
    trained: int
    embeddings: bool


def here(extra: Sequence[str]) -> list[Model]:
    """The models on this machine, and those given as NAME=FILE."""
    from edgewright.models.catalog import Catalog
    from edgewright.models.gguf import read_header
    from edgewright.models.store import Store

    store = Store()
    cards = [one for card in Catalog.default() if not card.adapter_of for one in card.all()]
    found = [
        Model(card.alias, path, card.context, "embeddings" in card.tasks)
        for card in cards
        if (path := store.path(card))
    ]
    for given in extra:
        name, _, file = given.partition("=")
        header = read_header(file)
        embeds = "bert" in header.architecture
        found.append(Model(name, Path(file), header.context_length or 1 << 30, embeds))
    return found


def real(model: Model, context: int, slots: int) -> dict[str, int]:
    """Bytes gained by loading, and by having answered: from a process of its own."""
    arguments = [str(model.path), str(context), str(slots), str(int(model.embeddings))]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.predicted", "--child", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if run.returncode:
        raise RuntimeError(f"{model.name} at {context} x {slots}: {run.stderr[-500:]}")
    seen: dict[str, int] = json.loads(run.stdout.splitlines()[-1])
    return seen


def child(path: str, context: int, slots: int, embeddings: bool) -> dict[str, int]:
    import psutil

    from edgewright.engines.llama_cpp import LlamaCppEngine
    from edgewright.residency.fit import header_of
    from edgewright.residency.memory import mapped

    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    LlamaCppEngine.status()  # imports the library
    into_memory = mapped(header_of(Path(path)))
    before = resident()
    engine = LlamaCppEngine(
        path, context=context, slots=slots, embeddings=embeddings, mapped=into_memory
    )
    loaded = resident()
    try:
        asyncio.run(ask_all(engine, slots, min(WORDS, context // 2)))
        return {"at_load": loaded - before, "loaded": resident() - before}
    finally:
        engine.close()


async def ask_all(engine: Any, slots: int, words: int) -> None:
    """Every slot is asked once, at the same time."""
    from edgewright.domain.engine import Request
    from edgewright.domain.message import Message

    if engine.capabilities.embeddings:  # computed at once, so as long as it may be
        await engine.embed([f"{slot}" + " word" * (engine.context - 20) for slot in range(slots)])
        return

    async def ask(slot: int) -> None:
        schema = {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3}
        message = Message("user", f"{slot} of" + " word" * words)
        async for _ in engine.generate(Request([message], max_tokens=8, schema=schema)):
            pass

    await asyncio.gather(*(ask(slot) for slot in range(slots)))


def settings(model: Model) -> Iterator[tuple[int, int]]:
    """Those within the context that it was trained for."""
    yield from dict.fromkeys((min(context, model.trained), slots) for context, slots in SETTINGS)


def rows(models: Sequence[Model]) -> Iterator[tuple[list[str], float, float]]:
    """A row for the table each, and by which share the prediction is off, before and after."""
    from edgewright.models.gguf import read_header
    from edgewright.residency.calibration import Calibration
    from edgewright.residency.memory import predict

    for model in models:
        header = read_header(model.path)
        with tempfile.TemporaryDirectory() as folder:
            calibration = Calibration(Path(folder) / "calibration.json")
            for context, slots in settings(model):
                say(f"{model.name}: {slots} x {context}")
                at: dict[str, Any] = {"context": context, "slots": slots}
                at["embeddings"] = model.embeddings
                memory = predict(header, **at)
                corrected = calibration.correct(model.name, memory, **at)
                seen = real(model, context, slots)
                calibration.observe(model.name, memory, seen["at_load"], **at)
                off, then = (m.loaded / seen["loaded"] - 1 for m in (memory, corrected))
                mb = [seen["at_load"], seen["loaded"], memory.loaded, corrected.loaded]
                shown = [number(value / 1e6, 0) for value in mb]
                cells = [*shown[:3], f"{off:+.1%}", shown[3], f"{then:+.1%}"]
                yield [f"{model.name}, {slots} × {context:,}", *cells], off, then
    done()


def main() -> None:
    parser = argparse.ArgumentParser(description="Predicted against real memory.")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    given = parser.parse_args()
    where = machine()
    models = here(given.model)
    if not models:
        raise SystemExit("no model is here: edgewright models pull smollm2-135m")
    found = list(rows(models))
    heads = ["MB", "after loading", "in use", "predicted", "off", "calibrated", "off"]
    text = table(heads, [cells for cells, _, _ in found])
    worst = max(abs(off) for _, off, _ in found)
    then = max(abs(off) for _, _, off in found)
    command = shlex.join(["python", "-m", "benchmarks.memory", *sys.argv[1:]])
    text += (
        f"\n\nThe worst prediction is off by {worst:.1%}; calibrated by what the model took in "
        f"the settings above it, {then:.1%}. In use: every slot has answered once, held to a "
        f"schema.\n\n{stamp(where, command)}"
    )
    print(text)
    if not given.no_write:
        write_block("memory", text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(
            json.dumps(child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1"))
        )
    else:
        main()
