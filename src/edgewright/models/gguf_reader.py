"""The bytes of a GGUF header, read with bounds on everything: a model file is input from strangers.

Time and memory stay small whatever the file claims. Nothing in it is ever run: a chat template is
noted, not rendered. Source of the layout: the GGUF specification in ggml's documentation
(docs/gguf.md).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from ..domain.errors import ModelFileError

MAX_HEADER: Final = 256 << 20  # bytes; the largest vocabulary takes ten million
MAX_ENTRIES: Final = 100_000  # metadata pairs, and tensors
MAX_ITEMS: Final = 2_000_000  # strings walked one by one; a vocabulary has under a million
MAX_STRING: Final = 1 << 20  # bytes of a string kept; a longer one is skipped
MAX_NAME: Final = 65_535  # bytes of a key or a tensor's name, as the specification has it
MAX_KEPT: Final = 4096  # items of an array kept: one a layer
MAX_DEPTH: Final = 4
MAX_DIMS: Final = 8
NESTED: Final = 64  # what an array within an array counts for among the items

# Value types of the metadata: struct format of the fixed-size ones, by type number.
SCALARS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
STRING: Final = 8
ARRAY: Final = 9


class Length(int):
    """Of an array that was walked over: how many items it has."""


class Reader:
    """Numbers, strings and values from a file, never past its end."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self.size = os.fstat(file.fileno()).st_size
        self._file = file
        self._items = MAX_ITEMS
        self._buffer = b""
        self._at = 0  # in the buffer
        self._end = 0  # of the buffer, in the file

    @property
    def left(self) -> int:
        return self.size - self.position

    @property
    def position(self) -> int:
        return self._end - len(self._buffer) + self._at

    def fail(self, what: str) -> ModelFileError:
        return ModelFileError(
            f"{self.path} is not a usable GGUF file: {what}",
            hint="Pull the model again, or convert it again if you made it.",
        )

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ModelFileError when the header ends before."""
        if self._at + count > len(self._buffer):
            self._must_have(count)
            self._buffer = self._buffer[self._at :] + self._file.read(max(count, 1 << 20))
            self._at, self._end = 0, self._file.tell()
            if count > len(self._buffer):
                raise self.fail("it became shorter while being read")
        self._at += count
        return self._buffer[self._at - count : self._at]

    def skip(self, count: int) -> None:
        self._must_have(count)
        self._at += count
        if self._at > len(self._buffer):
            self._end = self._file.seek(self._end + self._at - len(self._buffer))
            self._buffer, self._at = b"", 0

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def name(self) -> str:
        """A key, or a tensor's name."""
        length = self.number("Q")
        if length > MAX_NAME:
            raise self.fail(f"a name of {length:,} bytes")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int, keep: bool, depth: int = 0) -> object:
        """A metadata value of type `kind`, if it is to be kept: of strings in an array, and of
        longer arrays, only the Length."""
        if form := SCALARS.get(kind):
            raw = self.take(struct.calcsize("<" + form))
            return struct.unpack("<" + form, raw)[0] if keep else None
        if kind == STRING:
            return self._string(keep)
        if kind != ARRAY:
            raise self.fail(f"unknown metadata type {kind}")
        if depth == MAX_DEPTH:
            raise self.fail(f"arrays nested more than {MAX_DEPTH} deep")
        item, count = self.number("I"), self.number("Q")
        if form := SCALARS.get(item):
            width = struct.calcsize("<" + form)
            if count * width > self.left:
                raise self.fail(f"it claims {count:,} items where {self.left:,} bytes are left")
            if keep and count <= MAX_KEPT:
                return struct.unpack(f"<{count}{form}", self.take(count * width))
            self.skip(count * width)
        elif item == STRING:
            self._skip_strings(count)
        elif item == ARRAY:
            self._spend(count * NESTED)
            for _ in range(count):
                self.value(ARRAY, keep=False, depth=depth + 1)
        else:
            raise self.fail(f"unknown metadata type {item}")
        return Length(count)

    def _string(self, keep: bool) -> str | None:
        """A string's text; empty when it is longer than any we keep."""
        length = self.number("Q")
        if keep and length <= MAX_STRING:
            return self.take(length).decode("utf-8", "replace")
        self.skip(length)
        return "" if keep else None

    def _must_have(self, count: int) -> None:
        if count > self.left:
            raise self.fail(f"it is cut off at byte {self.size:,}, inside the header")
        if self.position + count > MAX_HEADER:
            raise self.fail(f"its header is longer than {MAX_HEADER >> 20} MiB")

    def _spend(self, items: int) -> None:
        self._items -= items
        if self._items < 0:
            raise self.fail(f"its metadata has more than {MAX_ITEMS:,} items")

    def _skip_strings(self, count: int) -> None:
        """Walks over `count` strings. A vocabulary has 150,000, so this is the one hot loop."""
        if count * 8 > self.left:
            raise self.fail(f"it claims {count:,} strings where {self.left:,} bytes are left")
        self._spend(count)
        length_at = struct.Struct("<Q").unpack_from
        buffer, at = self._buffer, self._at
        for _ in range(count):
            if at + 8 <= len(buffer):
                after = at + 8 + length_at(buffer, at)[0]
                if after <= len(buffer):
                    at = after
                    continue
            self._at = at
            self.skip(self.number("Q"))
            buffer, at = self._buffer, self._at
        self._at = at


def read_pairs(reader: Reader, pairs: int, kept: Callable[[str], bool]) -> dict[str, object]:
    """The metadata pairs worth keeping."""
    values: dict[str, object] = {}
    for _ in range(pairs):
        key = reader.name()
        keep = kept(key)
        value = reader.value(reader.number("I"), keep)
        if keep and key in values:
            raise reader.fail(f"{key} is given twice")
        if keep:
            values[key] = value
    return values
