"""A model compiled by OpenVINO, whose key-value cache is in pages that we hand out.

The library's own pipelines give no log-probabilities but those of the chosen token, and take no
grammar with schemas inside, and the acting layer needs both. So the model is used below them: as
the graph that they run, with the same attention over pages. See docs/engines/openvino.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...domain.errors import EngineError, EngineUnavailableError, ModelFileError
from ...models.child import ChildError, lines_of
from ..batching.row import Row

GRAPH = "openvino_model.xml"
FILES = tuple(
    f"openvino_{part}.{kind}"
    for part in ("model", "tokenizer", "detokenizer")
    for kind in ("xml", "bin")
)
SOURCE = "source.txt"  # beside it: the path of the GGUF file that it was made of


def library() -> Any:
    """The library. Raises EngineUnavailableError."""
    # Imported, it reports that over the network and leaves a number of its own in ~/intel. It
    # does without where this package of its is missing: so to it, it is.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import llguidance  # noqa: F401  # all or none: they come with the one extra
        import openvino
        import openvino_genai  # noqa: F401
    except ImportError as error:
        raise EngineUnavailableError(
            f"OpenVINO cannot be loaded: {error}",
            hint=f"{sys.executable} -m pip install 'edgewright[openvino]'",
        ) from error
    return openvino


class PagedModel:
    """The model in `folder`, with room for `tokens` in its cache. Raises EngineError.

    `pages` of `page` tokens each are there. Not to be used from two threads at a time.
    """

    def __init__(self, folder: Path, *, tokens: int, threads: int) -> None:
        ov = library()
        import numpy
        from openvino._offline_transformations import paged_attention_transformation

        self._ov, self._numpy = ov, numpy
        try:
            graph = ov.Core().read_model(folder / GRAPH)
            paged_attention_transformation(graph)
            _only_where_wanted(graph)
            # In bfloat16, its default here, logits come in eighths, and scores are compared finer.
            compiled = ov.Core().compile_model(
                graph,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "f32",
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": 1,
                    "ENABLE_CPU_PINNING": False,  # there are others on the machine
                },
            )
        except RuntimeError as error:
            raise EngineError(f"OpenVINO could not load {folder}: {_short(error)}") from error
        self._request = compiled.create_infer_request()
        caches = {i.get_any_name(): i for i in compiled.inputs if "_cache." in i.get_any_name()}
        self.page = int(caches["value_cache.0"].partial_shape[2].get_length())
        self.pages = -(-tokens // self.page)
        self.vocabulary = int(compiled.output("logits").partial_shape[-1].get_length())
        for name, cache in caches.items():
            shape = [self.pages, *(int(n.get_length()) for n in list(cache.partial_shape)[1:])]
            self._request.set_tensor(name, ov.Tensor(cache.element_type, ov.Shape(shape)))

    def __call__(self, rows: Sequence[Row]) -> Any:
        """The logits of the next token, a float32 row for each of the rows that want them."""
        np, ov = self._numpy, self._ov
        ids = [token for row in rows for token in row.tokens]
        places = [row.past + n for row in rows for n in range(len(row.tokens))]
        ends = [row.past + len(row.tokens) for row in rows]
        held = [row.pages[: -(-end // self.page)] for row, end in zip(rows, ends, strict=True)]
        begins = np.cumsum([0, *(len(row.tokens) for row in rows)])
        last = [int(end) - 1 for row, end in zip(rows, begins[1:], strict=True) if row.wanted]
        inputs = {
            "input_ids": np.array(ids, np.int64),
            "position_ids": np.array(places, np.int64),
            "past_lens": np.array([row.past for row in rows], np.int32),
            "subsequence_begins": begins.astype(np.int32),
            "block_indices": np.array([page for pages in held for page in pages], np.int32),
            "block_indices_begins": np.cumsum([0, *map(len, held)]).astype(np.int32),
            "max_context_len": np.array(max(ends), np.int32),
            "wanted": np.array(last or [0], np.int64),
        }
        for name, value in inputs.items():
            self._request.set_tensor(name, ov.Tensor(value))
        self._request.infer()
        logits = self._request.get_tensor("logits").data
        return logits.reshape(-1, self.vocabulary)[: len(last)]


def _only_where_wanted(graph: Any) -> None:
    """Computes logits only at the positions that the new input `wanted` lists. Of a whole prompt
    they would take hundreds of megabytes."""
    import numpy
    from openvino import opset13

    node = graph.output("logits").node.input_value(0).get_node()
    while node.get_type_name() != "MatMul":
        node = node.input_value(0).get_node()
    wanted = opset13.parameter([-1], numpy.int64, name="wanted")
    wanted.output(0).set_names({"wanted"})
    axis = opset13.constant(0, numpy.int64)
    chosen = opset13.gather(node.input(0).get_source_output(), wanted, axis)
    node.input(0).replace_source_output(chosen.output(0))
    graph.add_parameters([wanted])
    graph.validate_nodes_and_infer_types()


class Tokenizer:
    """The tokenizer in `folder`. `tokens` are the bytes of each token, `special` those that are no
    text, `ends` those that end an answer, with the `stops` among them."""

    def __init__(self, folder: Path, vocabulary: int, stops: Sequence[str]) -> None:
        import openvino_genai

        try:
            self._tokenizer = openvino_genai.Tokenizer(str(folder))
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO could not load the tokenizer in {folder}: {_short(error)}",
                hint="openvino_tokenizer.xml has to be there.",
            ) from error
        known: dict[bytes, int] = self._tokenizer.get_vocab()
        self.tokens = [b""] * vocabulary
        for text, number in known.items():
            self.tokens[number] = text
        odd = [n for n, text in enumerate(self.tokens) if text[:1] == b"<"]
        shown = self._tokenizer.decode([[n] for n in odd], skip_special_tokens=True) if odd else []
        self.special = {n for n, text in zip(odd, shown, strict=True) if not text}
        # Places without a meaning, which fill the vocabulary up.
        self.special |= {n for n, text in enumerate(self.tokens) if text[:4] in (b"", b"[PAD")}
        named = [known.get(stop.encode(), -1) for stop in stops]
        ends = [self._tokenizer.get_eos_token_id(), *named]
        self.ends = [number for number in dict.fromkeys(ends) if 0 <= number < vocabulary]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, in which control tokens count as such."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        numbers: list[int] = encoded.input_ids.data[0].tolist()
        return numbers


def graph_of(path: Path, cache: Path) -> Path:
    """The folder with the graph of the model at `path`: the path itself, or of a GGUF file one in
    the folder `cache`, where it is made at most once and takes as much of the disk as the file.

    Raises ModelFileError for what OpenVINO cannot read, EngineError when the disk is full.
    """
    if path.is_dir():
        if missing := _missing(path):  # of which one would end this process: it is not looked for
            raise ModelFileError(
                f"The model folder {path} lacks {', '.join(missing)}.",
                hint="Copy the whole folder; `optimum-cli export openvino` and `convert_tokenizer "
                "--with-detokenizer` write one.",
            )
        return path
    import filelock

    about = path.stat()
    version = library().__version__
    made_from = [str(path.resolve()), str(about.st_size), str(about.st_mtime_ns), version]
    target = cache / hashlib.sha256("\n".join(made_from).encode()).hexdigest()[:32]
    if not _missing(target):
        return target
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with filelock.FileLock(cache / f"{target.name}.lock"):
        if _missing(target):
            shutil.rmtree(target, ignore_errors=True)  # something was removed from it
            _convert(path, target)
    return target


def _missing(folder: Path) -> list[str]:
    return [name for name in FILES if not (folder / name).is_file()]


def _convert(path: Path, target: Path) -> None:
    _sweep(target.parent)
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(mode=0o700)
    # The library knows the format by the name, and writes beside the file.
    named = partial / "model.gguf"
    named.symlink_to(path.resolve())
    try:
        need, free = path.stat().st_size * 1.1, shutil.disk_usage(partial).free
        if need > free:
            raise EngineError(
                f"OpenVINO needs {int(need):,} bytes in {target.parent}, {free:,} are free.",
                hint="Free some space.",
            )
        with contextlib.closing(lines_of("edgewright.engines.openvino.model", str(named))) as lines:
            for _ in lines:
                pass
        named.unlink()
        (partial / SOURCE).write_text(str(path.resolve()), "utf-8")
        partial.replace(target)
    except ChildError as error:
        raise ModelFileError(
            f"OpenVINO cannot read {path}: {_short(error.lines[-1] if error.lines else error)}",
            hint="It reads F16, Q4_0, Q4_1 and Q8_0: edgewright models quantize ALIAS --to Q8_0",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Removes what was made of files that are gone."""
    for source in cache.glob(f"*/{SOURCE}"):
        if not Path(source.read_text("utf-8")).exists():
            shutil.rmtree(source.parent, ignore_errors=True)


def _short(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it does not say why"


def _child(path: str) -> None:
    """Writes the graph and the tokenizer of a GGUF file beside it. The library does that only on
    the way to a pipeline, which takes memory: hence a process of its own."""
    from ...models.child import be_child

    be_child()
    library()
    import openvino_genai

    try:
        openvino_genai.LLMPipeline(path, "CPU", enable_save_ov_model=True)
    except RuntimeError as error:
        sys.exit(_short(error))
    sys.stdout.flush()
    os._exit(0)  # what is written is written; tearing it down takes time


if __name__ == "__main__":
    _child(sys.argv[1])
