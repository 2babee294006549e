"""What a machine can hold: of each model and quantization the memory, the largest context and the
speed; and which of them to take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..domain.errors import EngineError, ModelFileError
from ..models.card import ModelCard
from ..models.gguf import GGUFHeader
from .fit import expected, header_of, largest_context, observe
from .memory import Memory, predict
from .speed import CONTEXT, Known, Measured, Speed, keep, kept, predicted

COMFORT: Final = 8.0  # tokens a second: about as fast as people read

PARTS: Final = (  # of Memory
    "weights", "cache", "compute", "library", "constraints", "correction", "prompts",
)  # fmt: skip

# From the least bits a weight to the most.
_BITS: Final = ("Q2", "Q3", "IQ4", "Q4", "Q5", "Q6", "Q8", "F16", "BF16", "F32")


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in one quantization. `path` is where its file is, if it is here."""

    name: str
    quantization: str
    parameters: int
    size: int  # bytes of the file, perhaps estimated
    trained: int  # tokens of context
    embeddings: bool = False
    tools: bool = False  # it can choose tools
    chats: bool = True  # an agent can run on it
    card: ModelCard | None = None
    path: Path | None = None

    @classmethod
    def of_card(cls, card: ModelCard, path: Path | None) -> Subject:
        return cls(
            card.alias,
            card.quantization,
            card.parameters,
            path.stat().st_size if path else card.expected_size,
            card.context,
            embeddings="embeddings" in card.tasks,
            tools=card.tools,
            chats=card.chats,
            card=card,
            path=path,
        )

    @classmethod
    def of_file(cls, path: Path) -> Subject:
        """Raises ModelFileError."""
        header = header_of(path)
        return cls(
            path.stem,
            header.quantization,
            header.parameters,
            header.size,
            header.context_length or 4096,
            embeddings="bert" in header.architecture,
            chats=header.template != "unknown",
            path=path,
        )

    @property
    def source(self) -> GGUFHeader | ModelCard:
        """What its memory is predicted from. Raises ModelFileError."""
        if self.path is not None:
            return header_of(self.path)
        assert self.card is not None
        return self.card


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one subject. `memory` is with `context` tokens a request; `largest` is the
    largest context that fits, 0 where none does; `note` says why something is not known."""

    subject: Subject
    context: int
    memory: Memory | None = None
    largest: int = 0
    fits: bool = False
    speed: Speed | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Bytes, tokens, and tokens a second."""
        subject, memory, speed = self.subject, self.memory, self.speed
        return {
            "model": subject.name,
            "quantization": subject.quantization,
            "parameters": subject.parameters,
            "tools": subject.tools,
            "here": subject.path is not None,
            "context": self.context,
            "memory": memory
            and {
                **{part: getattr(memory, part) for part in PARTS},
                "loaded": memory.loaded,
                "most": memory.most,
            },
            "fits": self.fits,
            "largest_context": self.largest,
            "speed": speed
            and {
                "prefill": round(speed.prefill, 1),
                "decode": round(speed.decode, 1) or None,
                "how": "measured" if speed.measured else "predicted",
            },
            "note": self.note,
        }


def survey(
    subjects: Iterable[Subject],
    *,
    available: int,
    context: int,
    slots: int,
    measure: Callable[[Subject], Measured] | None = None,
) -> list[Row]:
    """What `available` bytes hold, those that fit first, the largest models first.

    `measure` is asked for the speed of each subject whose file is here and that fits; without it
    that is what was measured last.
    """
    rows = [_row(subject, available, context, slots) for subject in subjects]
    rows = _with_speeds(rows, measure)
    return sorted(rows, key=lambda row: (not row.fits, -row.subject.parameters, -row.subject.size))


def _row(subject: Subject, available: int, context: int, slots: int) -> Row:
    context = min(context, subject.trained)
    embeddings = subject.embeddings
    try:
        source = subject.source
        memory = predict(source, context=context, slots=slots, embeddings=embeddings)
        if subject.path is not None:
            memory = expected(subject.path, context=context, slots=slots, embeddings=embeddings)
        largest = largest_context(
            source,
            available,
            trained=subject.trained,
            slots=slots,
            embeddings=embeddings,
            correction=memory.correction,
        )
    except ModelFileError as error:
        return Row(subject, context, note=str(error))
    return Row(subject, context, memory, largest, fits=memory.most <= available)


def _with_speeds(rows: list[Row], measure: Callable[[Subject], Measured] | None) -> list[Row]:
    """The rows with speeds: of those that are here measured, of the others predicted from them."""
    known: list[Known] = []
    done: dict[str, Row] = {}
    for row in rows:
        subject = row.subject
        if subject.path is None:
            continue
        try:
            timed = measure if row.fits else None
            speed = _measured(subject, subject.path, timed) if timed else kept(subject.path)
        except EngineError as error:
            done[subject.name] = replace(row, note=str(error))
            continue
        if speed is None:
            continue
        done[subject.name] = replace(row, speed=speed)
        if not subject.embeddings:
            known.append(Known(subject.size, subject.parameters, speed))
    return [done.get(row.subject.name) or replace(row, speed=_guess(row, known)) for row in rows]


def _measured(subject: Subject, path: Path, measure: Callable[[Subject], Measured]) -> Speed:
    """How fast it is. That is kept, and so is what loading took, to predict memory better."""
    seen = measure(subject)
    observe(path, seen.memory, context=CONTEXT, slots=1, embeddings=subject.embeddings)
    keep(path, seen.speed)
    return seen.speed


def _guess(row: Row, known: Sequence[Known]) -> Speed | None:
    subject = row.subject
    return None if subject.embeddings else predicted(subject.size, subject.parameters, known)


def recommend(rows: Sequence[Row], quantization: str) -> Row | None:
    """The row for an agent: of the models that fit and answer comfortably, those that can choose
    tools before others, and those of four bits and more, the largest; of it the quantization
    nearest to the one advised. Where all are slow, the fastest. Where no speed is known at all,
    any is taken for comfortable: `speed` is None. None where none fits."""
    able = [row for row in rows if row.fits and row.subject.chats and not row.subject.embeddings]
    able = [row for row in able if not row.note]  # what cannot be loaded
    if not able:
        return None
    able = [row for row in able if row.subject.tools] or able
    able = [row for row in able if bits(row.subject.quantization) >= bits("IQ4")] or able
    timed = any(row.speed for row in able)
    fast = [row for row in able if not timed or (row.speed and row.speed.decode >= COMFORT)]
    if not fast:
        return max(able, key=lambda row: row.speed.decode if row.speed else 0.0)
    return max(
        fast,
        key=lambda row: (
            row.subject.parameters,
            -abs(bits(row.subject.quantization) - bits(quantization)),
            row.subject.path is not None,
            row.subject.size,
        ),
    )


def bits(quantization: str) -> int:
    """A place in the order of quantizations, by bits a weight."""
    return next((n for n, label in enumerate(_BITS) if quantization.startswith(label)), 0)
