"""Sequences computed together, by ONNX Runtime itself: what one step reads of the weights, it reads
for all of them."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod
from typing import Any

from ...domain.errors import EngineError
from ..batching.row import Row
from .folder import Folder, damaged


class Session:
    """The graph of `folder`, which has `caches`, on the CPU, with room for `slots` sequences of
    `context` tokens each.

    The graph writes the keys and values of new tokens into the arrays that hold those of the past,
    (slots, heads, context, head size) each, so that sequences in slots side by side are a batch
    without any copying. An array takes memory as it is written.
    Raises ModelFileError for a graph that cannot be loaded, EngineError without the memory and when
    computing fails. Not to be used from two threads at a time.
    """

    def __init__(self, folder: Folder, *, context: int, slots: int, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Waiting threads that spin take the processor from those who share it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # what a long prompt took is given back
        options.log_severity_level = 4  # what fails is raised, and need not be printed
        try:
            self._session = onnxruntime.InferenceSession(
                folder.graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base
            raise damaged(folder.path, f"ONNX Runtime: {str(error)[:400]}") from error
        caches = folder.caches
        assert caches is not None
        shape = (slots, caches.heads, context, caches.head_size)
        self._caches = [(*names, _room(shape)) for names in caches.names]
        self._bindings: dict[tuple[int, int], Any] = {}

    def __call__(self, rows: Sequence[Row]) -> list[Any]:
        found: dict[int, Any] = {}
        for batch in batches(rows):
            for row, logits in zip(batch, self._computed(batch), strict=True):
                found[row.pages[0]] = logits
        return [found[row.pages[0]] for row in rows if row.wanted]

    def _computed(self, batch: Sequence[Row]) -> Any:
        """The logits after the last token of each row, a (rows, vocabulary) array."""
        import numpy

        ends = [row.past + len(row.tokens) for row in batch]
        mask = numpy.arange(max(ends)) < numpy.array(ends)[:, None]
        try:
            binding = self._bound(batch[0].pages[0], len(batch))
            binding.bind_cpu_input("input_ids", numpy.array([row.tokens for row in batch], "int64"))
            binding.bind_cpu_input("attention_mask", mask.astype("int64"))
            self._session.run_with_iobinding(binding)
            logits = binding.get_outputs()[0].numpy()[:, -1].copy()
            binding.bind_output("logits", "cpu")  # lets go of those of a whole prompt
        except Exception as error:
            raise EngineError(f"ONNX Runtime: {str(error)[:400]}") from error
        return logits

    def _bound(self, first: int, count: int) -> Any:
        """The caches of `count` slots from the `first` on, as what the graph reads and writes."""
        if (known := self._bindings.get((first, count))) is not None:
            return known
        binding = self._session.io_binding()
        binding.bind_output("logits", "cpu")  # so that it is the first output
        for past, present, cache in self._caches:
            part = cache[first : first + count]
            where = ("cpu", 0, part.dtype.type, part.shape, part.ctypes.data)
            binding.bind_input(past, *where)
            binding.bind_output(present, *where)
        self._bindings[first, count] = binding
        return binding


def _room(shape: tuple[int, ...]) -> Any:
    """An array of zeros. Unlike one of numpy's own it is not in huge pages, of which each head's
    first token would take one."""
    import numpy

    size = 4 * prod(shape)
    try:
        return numpy.frombuffer(mmap.mmap(-1, size), numpy.float32).reshape(shape)
    except (OSError, OverflowError, MemoryError) as error:
        raise EngineError(
            f"There is no memory for the cache, of {2 * size:,} bytes in each layer of the model.",
            hint="Give it fewer slots, or the agent a smaller Config(context=…).",
        ) from error


def batches(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows, in what the graph can compute at once: several tokens of one slot, or a token each
    of slots that lie side by side."""
    made: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: row.pages[0]):
        if made and _beside(made[-1][-1], row):
            made[-1].append(row)
        else:
            made.append([row])
    return made


def _beside(one: Row, other: Row) -> bool:
    return len(one.tokens) == len(other.tokens) == 1 and one.pages[0] + 1 == other.pages[0]
