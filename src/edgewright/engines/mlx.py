"""MLX in this process: Apple silicon's own way. On Linux it computes on the processor, slowly.

It loads folders as `mlx_lm.convert` writes them. See docs/engines/mlx.md.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..domain.errors import EngineError, EngineUnavailableError, ModelFileError
from ..domain.setup import Setup
from .batching.batch import BUDGET, Batch
from .batching.batched import BatchedEngine
from .batching.pages import Held, Pages
from .batching.row import Row
from .chat_format import ChatFormat, format_of

_SLOW = 16  # tokens in a step on a processor, where one can take 50 ms and more
# What newer folders say in `rope_parameters`, and MLX-LM looks for beside it.
_ROPE = ("rope_theta", "partial_rotary_factor")


class MlxEngine(BatchedEngine):
    """The model in the folder `path`, loaded: config.json, safetensors, tokenizer.json. No code
    that lies in the folder is run.

    `context` is tokens a request, and no more than the model is made for. `slots` requests are
    answered at once, in turns, and as many caches are kept, to be used again by a prompt that
    begins the same. More requests than that wait.
    Raises EngineUnavailableError without the library, ModelFileError for a folder that is not
    whole or is not of a model whose chat format is known.
    """

    name = "mlx"
    formats: ClassVar[tuple[str, ...]] = ("mlx",)

    def __init__(
        self,
        path: Path | str,
        *,
        model: str = "",
        context: int = 4096,
        slots: int = 4,
        template: str = "",
    ) -> None:
        path = Path(path)
        library()
        _check_files(path)
        chat = format_of(path, template)  # before all is read for nothing
        network, config = _load(path)
        context = min(context, int(config.get("max_position_embeddings") or context))
        computed = Sequences(network, context=context, slots=slots)
        tokenizer = Tokenizer(path, computed.width, config, chat)
        batch = Batch(computed, tokenizer.tokens, tokenizer.ends, pages=computed)
        # Where it is left open until the process ends, MLX aborts that.
        self._end = weakref.finalize(self, _end, batch, computed)
        super().__init__(model or path.name, context, slots, batch, tokenizer, tokenizer.chat)

    @classmethod
    def open(cls, setup: Setup) -> MlxEngine:
        """The model in the folder `setup.path`, loaded."""
        if setup.path is None:
            raise EngineError(
                "The mlx engine loads a folder, and none is given.",
                hint="Make one with `mlx_lm.convert`; see docs/engines/mlx.md.",
            )
        return cls(
            setup.path,
            model=setup.model,
            context=setup.context,
            slots=setup.slots,
            template=setup.template,
        )

    @classmethod
    def status(cls) -> str:
        """The library's version, and what it computes on. Raises EngineUnavailableError when it
        cannot be loaded."""
        mx = library()
        device = mx.default_device().type.name
        name = mx.device_info().get("device_name", "unknown")
        slow = ", for correctness only" if device == "cpu" else ""
        return f"mlx {mx.__version__}, in process; device: {device} ({name}){slow}"

    def _release(self) -> None:
        self._end()


def _end(batch: Batch, computed: Sequences) -> None:
    batch.close()
    computed.close()


def library() -> Any:
    """The package `mlx.core`. Raises EngineUnavailableError."""
    try:
        import llguidance  # noqa: F401  # all or none: they come with the one extra
        import mlx.core
        import mlx_lm.utils  # noqa: F401
        import tokenizers  # noqa: F401
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"MLX cannot be loaded: {error}",
            hint=f"{sys.executable} -m pip install 'edgewright[mlx]'",
        ) from error
    return mlx.core


def _check_files(path: Path) -> None:
    if not path.is_dir():
        raise _damaged(path, "it is not a folder")
    for name in ("config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise _damaged(path, f"there is no {name}")


def _load(path: Path) -> tuple[Any, dict[str, Any]]:
    """The network, its weights in memory, and the folder's configuration."""
    from mlx_lm.utils import load_config, load_model

    try:
        config = load_config(path)
        rope = config.get("rope_parameters") or {}
        moved = {key: rope[key] for key in _ROPE if key in rope and key not in config}
        if rope.get("rope_type", "default") != "default" and not config.get("rope_scaling"):
            moved["rope_scaling"] = rope
        network, config = load_model(path, model_config=moved)
    except Exception as error:  # it raises whatever comes of a folder that makes no sense
        raise _damaged(path, f"{type(error).__name__}: {str(error)[:400]}") from error
    return network, config


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is no whole model for MLX: {why}.",
        hint="Make it again with `mlx_lm.convert`; see docs/engines/mlx.md.",
    )


@dataclass(slots=True)
class _Sequence:
    """The cache of one sequence; `tokens` are those in it."""

    cache: list[Any]
    tokens: list[int] = field(default_factory=list)


class Sequences(Pages):
    """`network` with room for `slots` sequences of `context` tokens each, computed in turns.

    For a batch a sequence is one long page. The last ones are kept when they end, and one that
    begins alike starts with a copy of what it shares with them, as far as the kind of cache lets it
    be cut there. `width` is how many logits there are. Raises EngineError.
    """

    def __init__(self, network: Any, *, context: int, slots: int) -> None:
        super().__init__(slots, context)
        self._mx = mx = library()
        self.page, self.pages = context, slots
        self.budget = _SLOW if mx.default_device().type == mx.cpu else BUDGET
        self._network = network
        self._running: dict[int, _Sequence] = {}
        self._forget()
        # Once in the thread that loaded it: what a network computes late belongs to its thread.
        try:
            logits = network(mx.array([[0]]))
            mx.eval(logits)
        except Exception as error:
            raise EngineError(f"MLX cannot compute this model: {error}") from error
        self.width = int(logits.shape[-1])

    def take(self, tokens: Sequence[int], most: int) -> Held | None:
        from mlx_lm.models.cache import make_prompt_cache

        free = [number for number in range(self.count) if number not in self._running]
        if not free:
            return None
        # What is wanted comes after the last token, so that one is always computed.
        before = list(tokens[:-1])
        cache, left = self._kept.fetch_nearest_cache("", before)
        self._running[free[0]] = _Sequence(cache or make_prompt_cache(self._network))
        return Held([free[0]], len(before) - len(left) if cache else 0)

    def computed(self, held: Held, tokens: Sequence[int]) -> None:
        self._running[held.pages[0]].tokens = list(tokens)

    def give_back(self, held: Held) -> None:
        for number in held.pages:
            sequence = self._running.pop(number)
            if sequence.tokens:
                self._kept.insert_cache("", sequence.tokens, sequence.cache)
        held.pages = []
        self._mx.clear_cache()

    def __call__(self, rows: Sequence[Row]) -> list[Any]:
        """The logits of the next token, for each of the rows that want them."""
        try:
            return [logits for row in rows if (logits := self._compute(row)) is not None]
        except Exception as error:  # of the library: nothing is known of what it holds then
            self._forget()
            raise EngineError(f"MLX: {error}") from error

    def _compute(self, row: Row) -> Any:
        import numpy

        mx, tokens = self._mx, list(row.tokens)
        cache = self._running[row.pages[0]].cache
        # The logits of a prompt's other tokens would cost as much as the rest of a small model.
        before, last = (tokens[:-1], tokens[-1:]) if row.wanted else (tokens, [])
        if before:
            self._network(mx.array([before]), cache=cache)
            mx.eval([layer.state for layer in cache])
        if not last:
            return None
        logits = self._network(mx.array([last]), cache=cache)[0, -1]
        return numpy.array(logits.astype(mx.float32))

    def _forget(self) -> None:
        from mlx_lm.models.cache import LRUPromptCache

        self._kept: Any = LRUPromptCache(max_size=self.count)
        for sequence in self._running.values():
            sequence.tokens = []

    def close(self) -> None:
        """Gives the memory back."""
        self._running.clear()
        self._forget()
        del self._network
        self._mx.clear_cache()


class Tokenizer:
    """The tokenizer in the folder `path`, for a model of `width` logits that chats in the format
    `chat`. `tokens` are the bytes of each token, `special` those that are no text, `ends` those
    that end an answer."""

    def __init__(self, path: Path, width: int, config: dict[str, Any], chat: ChatFormat) -> None:
        import llguidance
        from tokenizers import Tokenizer as Loaded

        try:
            content = (path / "tokenizer.json").read_text(encoding="utf-8")
            self._loaded: Any = Loaded.from_str(content)
            bytes_of = llguidance.LLTokenizer(content).decode_bytes
        except Exception as error:  # both raise plain ones
            raise _damaged(path, f"tokenizer.json: {str(error)[:400]}") from error
        self._loaded.no_truncation()
        self._loaded.no_padding()
        known = {n for n in self._loaded.get_vocab().values() if n < width}
        self.tokens = [bytes_of([n]) if n in known else b"" for n in range(width)]
        added = self._loaded.get_added_tokens_decoder()
        self.special = {n for n, token in added.items() if token.special and n < width}
        # Places without a meaning, which fill the vocabulary up.
        self.special |= {n for n, text in enumerate(self.tokens) if not text}
        self.chat = chat.fitted(self.encode, path)
        ends = config.get("eos_token_id")
        named = [self._loaded.token_to_id(name) for name in chat.stops]
        listed = [*(ends if isinstance(ends, list) else [ends]), *named]
        self.ends = [n for n in dict.fromkeys(listed) if isinstance(n, int) and n in known]

    def encode(self, text: str) -> list[int]:
        found: list[int] = self._loaded.encode(text, add_special_tokens=False).ids
        return found
