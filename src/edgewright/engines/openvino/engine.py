"""OpenVINO in this process: the fastest way that is known through a prompt on Intel's processors.

It reads GGUF files itself, of some quantizations, and folders in its own format.
See docs/engines/openvino.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ...domain.errors import (
    EngineError,
    ModelFileError,
)
from ...domain.setup import Setup
from ...models.gguf import GGUFHeader, read_header
from ...models.store import home
from ..batching.batch import Batch
from ..batching.batched import BatchedEngine
from ..chat_format import format_of
from ..machine import cores
from .model import PagedModel, Tokenizer, graph_of, library

_ARCHITECTURES = ("llama", "qwen2", "qwen3")  # in GGUF files; a folder can be of any
_TENSORS = ("F32", "F16", "Q4_0", "Q4_1", "Q8_0")


class OpenVINOEngine(BatchedEngine):
    """The model at `path`, loaded: a GGUF file that `reads` says yes to, or a folder in OpenVINO's
    format with its tokenizer.

    `context` is tokens a request. Any number of requests are answered at once as long as their
    tokens fit the cache, which holds `context * slots`. What is in the cache is used again by a
    prompt that begins the same. Of a GGUF file the graph is made once, and kept in `cache`
    (default: `openvino` in edgewright's home). `template` names the chat format, by default the one
    that the model declares.
    Raises EngineUnavailableError without the library, ModelFileError for a file it cannot read,
    EngineError when loading fails.
    """

    name = "openvino"
    formats: ClassVar[tuple[str, ...]] = ("gguf", "openvino")
    prefers: ClassVar[str] = "Q8_0"  # what to make of a file that it does not read

    def __init__(
        self,
        path: Path | str,
        *,
        model: str = "",
        context: int = 4096,
        slots: int = 4,
        threads: int | None = None,
        cache: Path | None = None,
        template: str = "",
    ) -> None:
        path = Path(path)
        library()
        if path.is_file() and not self.reads(header := read_header(path)):
            raise ModelFileError(
                f"OpenVINO cannot read {path.name}: it is a {header.architecture} model at "
                f"{header.quantization}, with {', '.join(header.tensor_types)}.",
                hint=f"edgewright models quantize ALIAS --to {self.prefers}, if the architecture "
                f"is one of {', '.join(_ARCHITECTURES)}.",
            )
        chat = format_of(path, template)  # before a graph is made for nothing
        folder = graph_of(path, cache or home() / "openvino")
        loaded = PagedModel(folder, tokens=context * slots, threads=threads or cores())
        tokenizer = Tokenizer(folder, loaded.vocabulary, chat.stops)
        chat = chat.fitted(tokenizer.encode, path)
        batch = Batch(loaded, tokenizer.tokens, tokenizer.ends)
        super().__init__(model or path.stem, context, slots, batch, tokenizer, chat)

    @classmethod
    def reads(cls, header: GGUFHeader) -> bool:
        """Whether a GGUF file can be loaded as it is. If only its tensors are in the way, one made
        of it at `prefers` can."""
        return header.architecture in _ARCHITECTURES and {*header.tensor_types} <= {*_TENSORS}

    @classmethod
    def open(cls, setup: Setup) -> OpenVINOEngine:
        """The model of `setup.path`, loaded."""
        if setup.path is None:
            raise EngineError("The openvino engine loads a file, and none is given.")
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
        """The library's version, and the devices that it sees; of these, the CPU is used. Raises
        EngineUnavailableError when it cannot be loaded."""
        openvino = library()
        version = openvino.__version__.split("-")[0]
        return f"openvino {version}, in process; devices: {_devices(openvino)}"


def _devices(openvino: object) -> str:
    core = openvino.Core()  # type: ignore[attr-defined]
    names = core.available_devices
    return ", ".join(f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')})" for name in names)
