"""Sequences computed by the library's own Generators, on whatever hardware it has.

Its loop chooses tokens by itself and gives no odds under a grammar, which the acting layer needs.
So it only computes here: tokens go in, logits come out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...domain.errors import EngineError
from ..batching.row import Row
from .api import Generator, Model
from .folder import Folder, damaged


class Generators:
    """The model of `folder`, with a Generator of `context` tokens for each slot, which are computed
    in turns. One takes its memory when it is first used. Raises ModelFileError for a graph that
    cannot be loaded, EngineError when computing fails. Not to be used from two threads at a time.
    """

    def __init__(self, folder: Folder, *, context: int, slots: int, threads: int) -> None:
        session: dict[str, Any] = {"intra_op_num_threads": threads}
        if folder.provider == "CPU":
            # Waiting threads that spin take the processor from those who share it.
            session["session.intra_op.allow_spinning"] = "0"
        overlay = {"model": {"decoder": {"session_options": session}}}
        try:
            self._model = Model(folder.path, json.dumps(overlay))
        except EngineError as error:
            raise damaged(folder.path, str(error)) from error
        self._context = context
        self._vocabulary = folder.vocabulary
        self._generators: list[Generator | None] = [None] * slots

    def __call__(self, rows: Sequence[Row]) -> list[Any]:
        found = []
        for row in rows:
            slot = row.pages[0]
            try:
                generator = self._generators[slot] or Generator(self._model, self._context)
                self._generators[slot] = generator
                if len(generator) != row.past:
                    generator.rewind(row.past)
                generator.append(row.tokens)
                if row.wanted:
                    found.append(generator.logits(self._vocabulary))
            except EngineError:
                self._generators[slot] = None
                raise
        return found
