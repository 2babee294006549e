"""SmolLM2's GGUF file as a Hugging Face folder, for engines that take such: by transformers, which
has to be installed with torch, accelerate and gguf. Takes half a minute."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

# How SmolLM2 splits text, which a GGUF file says by a name only.
PIECES = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}


def convert(source: Path, folder: Path) -> Path:
    """The folder, made from the GGUF file."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.mkdir(parents=True)
    link = folder.parent / "model.gguf"
    link.symlink_to(source.resolve())
    where = {"pretrained_model_name_or_path": str(link.parent), "gguf_file": link.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16)
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    written = json.loads(file.read_text("utf-8"))
    written["pre_tokenizer"] = PIECES
    file.write_text(json.dumps(written, ensure_ascii=False), "utf-8")
    return folder


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
