"""ONNX Runtime GenAI in this process: one runtime for many kinds of hardware.

It loads folders that are made for it: `edgewright models convert ALIAS --to onnx`.
See docs/engines/onnx.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ...domain.errors import EngineError
from ...domain.setup import Setup
from ..batching.batch import Batch
from ..batching.batched import BatchedEngine
from ..batching.row import Row
from ..chat_format import format_of
from ..machine import cores
from .api import library
from .folder import CONFIG, Folder, damaged, providers
from .generators import Generators
from .session import Session
from .slots import Compute, Slots
from .tokenizer import Tokenizer


class OnnxEngine(BatchedEngine):
    """The model in the folder `path`, loaded, on the execution provider that it is made for.

    `context` is tokens a request, and no more than the model is made for. `slots` requests are
    answered at once, and each keeps its cache, which is used again by a prompt that begins the
    same. More than that wait.
    Raises EngineUnavailableError without the library or the hardware, ModelFileError for a folder
    that is not whole, EngineError when loading fails.
    """

    name = "onnx"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)

    def __init__(
        self,
        path: Path | str,
        *,
        model: str = "",
        context: int = 4096,
        slots: int = 4,
        threads: int | None = None,
        template: str = "",
    ) -> None:
        folder = Folder(Path(path))
        self.provider = folder.provider
        context = min(context, folder.context)
        tokenizer = Tokenizer(folder, format_of(folder.path, template))
        room = {"context": context, "slots": slots, "threads": threads or cores()}
        # Elsewhere than on the CPU the library's own way knows where caches are kept.
        together = folder.provider == "CPU" and folder.caches is not None
        compute: Compute = Session(folder, **room) if together else Generators(folder, **room)
        _check(compute, folder)
        computed = Slots(compute, context=context, slots=slots)
        batch = Batch(computed, tokenizer.tokens, tokenizer.ends, pages=computed)
        super().__init__(
            model or folder.path.name, context, slots, batch, tokenizer, tokenizer.chat
        )

    @classmethod
    def open(cls, setup: Setup) -> OnnxEngine:
        """The model in the folder `setup.path`, loaded."""
        if setup.path is None:
            raise EngineError(
                "The onnx engine loads a folder, and none is given.",
                hint=f"edgewright models convert {setup.model} --to onnx",
            )
        return cls(
            setup.path,
            model=setup.model,
            context=setup.context,
            slots=setup.slots,
            threads=setup.threads,
            template=setup.template,
        )

    @classmethod
    def status(cls) -> str:
        """The library's version, and what it can compute on. Raises EngineUnavailableError when it
        cannot be loaded."""
        version = library().__version__
        return f"onnxruntime-genai {version}, in process; providers: {', '.join(providers())}"


def _check(compute: Compute, folder: Folder) -> None:
    """Raises ModelFileError where the graph is not what the configuration says: in no other way
    does all of that show."""
    try:
        (logits,) = compute([Row([0], 0, [0], True)])
    except EngineError as error:
        raise damaged(folder.path, f"it cannot be computed as {CONFIG} says: {error}") from error
    if len(logits) != folder.vocabulary:
        raise damaged(folder.path, f"its vocabulary is of {len(logits)}, not {folder.vocabulary}")
