"""What quantization costs and brings: one model at several levels, measured in the same way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..models.card import ModelCard
from ..models.catalog import forget_card
from ..models.gguf import read_header
from ..models.quantize import Quantized, quantize
from ..models.store import Store
from .bfcl import Bfcl
from .cases import Case
from .perplexity import Perplexity, perplexity
from .run import Evaluation, Options
from .speed import Speed, speed

CATEGORIES: Final = ("simple_python", "multiple")  # of the leaderboard; a call is always right
WINDOWS: Final = 8  # of 512 tokens each

Step = Callable[[str, int], object]  # what is done now, and how many steps are done since


@dataclass(frozen=True, slots=True)
class Level:
    """One row. `file` has size and tensor types; `right` of `cases` calls were right, both 0 where
    the model was not asked."""

    file: Quantized
    speed: Speed
    perplexity: Perplexity
    right: int
    cases: int

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON: bytes, seconds, tokens a second."""
        return {
            "model": self.file.card.alias,
            "quantization": self.file.card.quantization,
            "size": self.file.header.size,
            "in_the_file": dict(self.file.header.tensor_types),
            "load_seconds": self.speed.load,
            "memory": self.speed.memory,
            "prefill": self.speed.prefill,
            "decode": self.speed.decode,
            "perplexity": self.perplexity.value,
            "perplexity_error": self.perplexity.error,
            "perplexity_tokens": self.perplexity.tokens,
            "cases": self.cases,
            "right": self.right if self.cases else None,
        }


class Comparison:
    """A model as it is and at `levels`. `model` is its alias or file, `card` and `source` what it
    comes to. The perplexity is of so many `windows` of the text, and `cases` are what it is asked
    to call: none for a model that cannot choose tools."""

    def __init__(
        self,
        model: str,
        card: ModelCard,
        source: Path,
        levels: Sequence[str],
        *,
        cases: Sequence[Case] = (),
        windows: int = WINDOWS,
    ) -> None:
        self.model = model
        self.card = card
        self.source = source
        self.levels = [level for level in levels if level != card.quantization]
        self.cases = cases
        self.windows = windows
        self.steps = (1 + len(self.levels)) * (1 + windows + len(cases))  # that `run` reports

    def run(
        self, store: Store, on_step: Step, *, keep: bool = False
    ) -> Generator[Level, None, None]:
        """Each level as soon as it is measured, the source first. Levels that were not here are
        made, and removed again unless `keep`. `on_step` hears what is next.

        Raises ModelError, EngineError, ConfigError, StorageError.
        """
        as_it_is = Quantized(self.card, self.source, read_header(self.source), already=True)
        yield self._measured(self.model, as_it_is, on_step)
        for level in self.levels:
            on_step(f"{level}: quantizing", 0)
            made = quantize(self.card, self.source, level, store)
            try:
                yield self._measured(made.card.alias, made, on_step)
            finally:
                if not made.already and not keep:
                    store.remove(made.card)
                    forget_card(made.card.alias)

    def _measured(self, model: str, file: Quantized, on_step: Step) -> Level:
        level = file.card.quantization
        on_step(f"{level}: speed", 0)
        fast = speed(file.path)
        on_step(f"{level}: perplexity", 1)
        foretold = perplexity(
            file.path,
            windows=self.windows,
            on_window=lambda done, total: on_step(f"{level}: perplexity", 1),
        )
        # Fewer windows where the model's tokens are long.
        on_step(f"{level}: calls" if self.cases else level, self.windows - foretold.windows)
        evaluation = Evaluation(Options(model=model), Bfcl(self.cases))
        evaluation.run(lambda record: on_step(f"{level}: calls", 1))
        right = sum(record.right for record in evaluation.records.values())
        return Level(file, fast, foretold, right, len(self.cases))
