"""The child process that makes a folder for ONNX Runtime GenAI of a GGUF file:
`python -m edgewright.models.onnx_builder SOURCE TARGET PRECISION PROVIDER`.

The file is read by transformers, which writes a folder as model hubs have them, and of that
ONNX Runtime GenAI's own builder makes the graph. A line "step: …" goes before each part of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from .child import be_child

# How texts are cut before they become tokens, by the name that GGUF files have for it. Reading
# such a file, transformers forgets it.
_GPT2: Final = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_DIGITS: Final = {"type": "Digits", "individual_digits": True}
_QWEN2: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS: Final[dict[str, list[dict[str, Any]]]] = {
    "smollm": [_DIGITS, {**_GPT2, "use_regex": True}],
    "qwen2": [
        {"type": "Split", "pattern": {"Regex": _QWEN2}, "behavior": "Isolated", "invert": False},
        {**_GPT2, "use_regex": False},
    ],
}
# The builder and the tokenizer of ONNX Runtime go by these names.
_CLASSES: Final = {"smollm": "GPT2Tokenizer", "qwen2": "Qwen2Tokenizer"}

_TOOLS: Final = ("torch", "transformers", "onnxruntime-genai")


def main(source: str, target: str, precision: str, provider: str) -> None:
    be_child()
    os.environ["HF_HUB_OFFLINE"] = os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    print("step: reading", flush=True)
    pre = _pre_tokenizer(Path(source))
    plain = Path(target) / "plain"
    _plain_folder(Path(source), plain, pre)
    print("step: building", flush=True)
    _build(plain, Path(target), precision, provider)
    shutil.rmtree(plain)
    shutil.rmtree(Path(target) / "cache", ignore_errors=True)
    print("with:", ", ".join(f"{name} {version(name)}" for name in _TOOLS))
    sys.stdout.flush()
    os._exit(0)  # what is written is written; tearing it down takes time


def _plain_folder(source: Path, folder: Path, pre: str) -> None:
    """What the GGUF file holds, unquantized, as a model hub would have it."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    where: Any = {"gguf_file": source.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), **where)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(source.parent), dtype=torch.float32, **where
    )
    model.hf_quantizer = None  # else it saves as quantized what no longer is
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def change(name: str, **values: Any) -> None:
        path = folder / name
        known = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(known | values, ensure_ascii=False), encoding="utf-8")

    # Where readers of the old format look.
    change("config.json", rope_theta=config.rope_parameters["rope_theta"])
    change("tokenizer_config.json", tokenizer_class=_CLASSES[pre])
    steps = {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[pre]}
    change("tokenizer.json", pre_tokenizer=steps, post_processor=None)


def _pre_tokenizer(source: Path) -> str:
    from gguf import GGUFReader

    field = GGUFReader(source).fields.get("tokenizer.ggml.pre")
    name = str(field.contents()) if field else "none"
    if name not in PRE_TOKENIZERS:
        known = ", ".join(PRE_TOKENIZERS)
        sys.exit(f"its tokenizer cuts texts the way of {name}; known here are {known}")
    return name


def _build(plain: Path, target: Path, precision: str, provider: str) -> None:
    """Runs the builder, whose command line is what its makers keep stable."""
    import runpy

    sys.argv = [
        "builder", "-i", str(plain), "-o", str(target), "-p", precision, "-e", provider,
        "-c", str(target / "cache"), "--extra_options", "hf_token=false",
    ]  # fmt: skip
    runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
