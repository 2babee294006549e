"""A model as ONNX Runtime GenAI takes it: a folder with its graph, tokenizer and configuration.

The library's own loop chooses tokens by itself and gives no odds under a grammar, which the acting
layer needs. So it only computes here: tokens go in, logits come out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...domain.errors import EngineError, EngineUnavailableError, ModelFileError
from ..batching.pages import Held, Pages
from ..batching.row import Row
from .api import Encoder, Generator, Model, library

CONFIG = "genai_config.json"
TOKENIZER = "tokenizer.json"
ALIKE = 0.1  # share of a prompt that a slot has to hold, to be better than the one unused longest

# What a folder can be made for, by the library's name for it; the fastest first. The CPU is
# always there.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "NvTensorRtRtx": "NvTensorRTRTXExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "MIGraphX": "MIGraphXExecutionProvider",
    "DML": "DmlExecutionProvider",
    "QNN": "QNNExecutionProvider",
    "OpenVINO": "OpenVINOExecutionProvider",
    "WebGPU": "WebGpuExecutionProvider",
}
# Those that the builder makes folders for, by its name for them.
_BUILDER = {"cuda": "cuda", "NvTensorRtRtx": "NvTensorRtRtx", "DML": "dml", "WebGPU": "webgpu"}


def providers() -> list[str]:
    """The execution providers of the installed runtime, the fastest first and the CPU last. Raises
    EngineUnavailableError."""
    library()
    import onnxruntime

    listed = onnxruntime.get_available_providers()
    return [*(name for name, long in PROVIDERS.items() if long in listed), "CPU"]


def builder_provider() -> str:
    """What to have a model built for on this machine, in the builder's words. Raises
    EngineUnavailableError."""
    return next((_BUILDER[name] for name in providers() if name in _BUILDER), "cpu")


class Folder:
    """What the folder at `path` says of itself.

    Raises ModelFileError when it is none or something is missing in it, EngineUnavailableError when
    it is for an execution provider that is not here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        config = _json(path, CONFIG)
        self.tokenizer = _json(path, TOKENIZER)
        try:
            model = config["model"]
            decoder = model["decoder"]
            self.context = int(model["context_length"])
            self.vocabulary = int(model["vocab_size"])
            ends = model["eos_token_id"]
            self.ends: list[int] = [ends] if isinstance(ends, int) else [int(end) for end in ends]
            options = decoder["session_options"]["provider_options"]
            self.providers = [name for option in options for name in option]
            graph = str(decoder["filename"])
            bool(self.tokenizer["model"]["vocab"])
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"{CONFIG} or {TOKENIZER} lacks {error}") from error
        if Path(graph).name != graph or not (path / graph).is_file():
            raise _damaged(path, f"there is no {graph}")
        here = providers()
        if missing := [name for name in self.providers if name not in here]:
            raise EngineUnavailableError(
                f"{path} is made for {missing[0]}, and the installed ONNX Runtime has only "
                f"{', '.join(here)}.",
                hint="Convert the model on this machine, or install the runtime for that hardware.",
            )

    @property
    def provider(self) -> str:
        """What computes the model."""
        return self.providers[0] if self.providers else "CPU"


def _json(path: Path, name: str) -> dict[str, Any]:
    if not path.is_dir():
        raise _damaged(path, "it is not a folder")
    try:
        found = json.loads((path / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _damaged(path, f"there is no {name}") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise _damaged(path, f"{name} is not what it should be")
    return found


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is no whole model for ONNX Runtime GenAI: {why}.",
        hint="Make it again: edgewright models convert ALIAS --to onnx",
    )


@dataclass(eq=False, slots=True)
class _Slot:
    """Room for one sequence. `tokens` are those whose cache is there."""

    generator: Generator | None = None
    tokens: Sequence[int] = ()
    taken: bool = False
    used: int = 0


class Slots(Pages):
    """The model of `folder` with room for `slots` sequences of `context` tokens each, which are
    computed in turns.

    For a batch a slot is one long page. A sequence gets the slot that holds most of its beginning,
    and only what comes after that is computed. A slot takes its memory when it is first used.
    Raises EngineError. Not to be used from two threads at a time.
    """

    def __init__(self, folder: Folder, *, context: int, slots: int, threads: int) -> None:
        super().__init__(slots, context)
        self.page, self.pages = context, slots
        self._vocabulary = folder.vocabulary
        session: dict[str, Any] = {"intra_op_num_threads": threads}
        if folder.provider == "CPU":
            # Waiting threads that spin take the processor from those who share it.
            session["session.intra_op.allow_spinning"] = "0"
        overlay = {"model": {"decoder": {"session_options": session}}}
        self.model = Model(folder.path, json.dumps(overlay))
        self._slots = [_Slot() for _ in range(slots)]
        self._turn = 0

    def take(self, tokens: Sequence[int], most: int) -> Held | None:
        free = [slot for slot in self._slots if not slot.taken]
        if not free or most > self.size:
            return None
        slot = max(free, key=lambda slot: _shared(slot.tokens, tokens))
        # What is wanted comes after the last token, so that one is always computed.
        cached = min(_shared(slot.tokens, tokens), len(tokens) - 1)
        if cached < ALIKE * len(tokens):
            slot, cached = min(free, key=lambda slot: slot.used), 0
        slot.taken = True
        return Held([self._slots.index(slot)], cached)

    def computed(self, held: Held, tokens: Sequence[int]) -> None:
        self._slots[held.pages[0]].tokens = tokens

    def give_back(self, held: Held) -> None:
        for number in held.pages:
            self._turn += 1
            self._slots[number].taken, self._slots[number].used = False, self._turn
        held.pages = []

    def __call__(self, rows: Sequence[Row]) -> list[Any]:
        """The logits of the next token, for each of the rows that want them."""
        found = []
        for row in rows:
            slot = self._slots[row.pages[0]]
            try:
                if slot.generator is None:
                    slot.generator = Generator(self.model, self.size)
                if len(slot.generator) != row.past:
                    slot.generator.rewind(row.past)
                slot.generator.append(row.tokens)
                if row.wanted:
                    found.append(slot.generator.logits(self._vocabulary))
            except EngineError:
                slot.generator, slot.tokens = None, ()  # nothing is known of it now
                raise
        return found

    def close(self) -> None:
        """Gives the memory back."""
        self._slots.clear()
        del self.model


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for n, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return n
    return min(len(one), len(other))


class Tokenizer:
    """The tokenizer in `folder`. `tokens` are the bytes of each token, `special` those that are no
    text, `ends` those that end an answer."""

    def __init__(self, folder: Folder, model: Model) -> None:
        self.encode = Encoder(model)
        content = folder.tokenizer
        known: dict[str, int] = content["model"]["vocab"]
        added = {str(token["content"]): token for token in content.get("added_tokens") or ()}
        by_bytes = "ByteLevel" in json.dumps(content.get("decoder"))
        self.tokens = [b""] * folder.vocabulary
        for text, number in known.items():
            if number < folder.vocabulary:
                self.tokens[number] = _byte_level(text) if by_bytes else _sentence_piece(text)
        for text, token in added.items():
            if token["id"] < folder.vocabulary:
                self.tokens[token["id"]] = text.encode()
        self.special = {token["id"] for token in added.values() if token.get("special")}
        # Places without a meaning, which fill the vocabulary up.
        self.special |= {n for n, text in enumerate(self.tokens) if not text}
        names = [added[name]["id"] for name in ("<|im_end|>", "<|endoftext|>") if name in added]
        ends = dict.fromkeys([*folder.ends, *names])
        self.ends = [number for number in ends if 0 <= number < folder.vocabulary]


@cache
def _bytes_by_letter() -> dict[str, int]:
    """GPT-2 writes each byte as a letter: printable ones as themselves, the others from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [n for n in range(256) if n not in printable]
    return {chr(n): n for n in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _byte_level(text: str) -> bytes:
    letters = _bytes_by_letter()
    if any(letter not in letters for letter in text):
        return text.encode()
    return bytes(letters[letter] for letter in text)


def _sentence_piece(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return bytes([int(text[3:5], 16)])
    return text.replace("▁", " ").encode()
