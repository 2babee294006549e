"""Plain tars: written without times or users, read by stricter rules than tar's own.

Of `tarfile` only the packing and unpacking of headers is used. A reader says which member has to
come next and of what size; whatever else is there, of whatever kind or name, is refused. Nothing
is ever written to a place that an archive names.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from ..domain.errors import BundleError, DiskFullError, StorageError
from .disk import storage_errors, sweep, sync_folder

BLOCK: Final = tarfile.BLOCKSIZE
END: Final = bytes(2 * BLOCK)
PARTIAL: Final = ".exporting-"  # then the process's number: what is being written
_CHUNK: Final = 1 << 20


def header(name: str, size: int) -> bytes:
    """The block before a member's content. That has to be followed by `padding(size)`."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)  # any size, where the oldest format ends at 8 GB


def padding(size: int) -> bytes:
    """What fills the last block of a member of that size."""
    return bytes(-size % BLOCK)


@contextlib.contextmanager
def replacing(target: Path, room: int) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `target` when all went well, and else goes. What
    killed processes left half-written in its folder goes too.

    `room` is the bytes it may take. Raises DiskFullError, StorageReadOnlyError, StorageError.
    """
    scratch = target.with_name(f"{PARTIAL}{os.getpid()}-{time.monotonic_ns()}")
    with storage_errors(f"the bundle {target}"):
        if target.is_dir():
            raise StorageError(f"{target} is a folder", hint="Name a file to write the bundle to.")
        if target.exists() and not target.is_file():  # renaming would take its place, as of a pipe
            raise StorageError(f"{target} is no file", hint="Name a file to write the bundle to.")
        if not target.parent.is_dir():
            raise StorageError(
                f"there is no folder {target.parent} to write {target.name} to",
                hint="Make the folder first, or name another.",
            )
        sweep(target.parent, PARTIAL)
        try:
            with scratch.open("xb") as out:
                need_room(target.parent, room)
                yield out
                out.flush()
                os.fsync(out.fileno())
            scratch.replace(target)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise StorageError(
                    f"{target} would be larger than its file system allows",
                    hint="FAT holds files up to 4 GB: format the disk as exFAT, or make a bundle "
                    "of each model.",
                ) from error
            if error.filename == str(scratch):
                error.filename = str(target)  # the name that was asked for
            raise
        finally:
            with contextlib.suppress(OSError):
                scratch.unlink()
        sync_folder(target.parent)


def need_room(folder: Path, room: int) -> None:
    """Raises DiskFullError where the disk of the folder has less than that many bytes free."""
    free = shutil.disk_usage(folder).free
    if room > free:
        raise DiskFullError(
            f"this takes {room:,} bytes in {folder}, {free:,} are free", hint="Free some space."
        )


class Reader:
    """The members of an archive, each of which has to be the one that is asked for.

    All methods raise BundleError for what they do not find, and for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._peeked: tarfile.TarInfo | None = None
        if not path.is_file():  # a pipe or a device would be waited for
            raise self.wrong("is no file" if path.exists() else "does not exist", hint="")
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise self.wrong(f"cannot be read: {error}") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def next_name(self) -> str:
        """The name of the member that comes next."""
        return self._peek().name

    def small(self, name: str, limit: int) -> bytes:
        """The content of the next member, which has that name and at most that size."""
        size = self._enter(name).size
        if not 0 <= size <= limit:
            raise self.wrong(f"has a {name} of {size:,} bytes, of which {limit:,} are allowed")
        return b"".join(self._content(size))

    def chunks(self, name: str, size: int) -> Iterator[bytes]:
        """The content of the next member, which has that name and size, piece by piece."""
        self._enter_sized(name, size)
        return self._content(size)

    def skip(self, name: str, size: int) -> None:
        """Passes over the next member, which has that name and size."""
        self._enter_sized(name, size)
        self._file.seek(size + len(padding(size)), 1)

    def end(self) -> None:
        """Makes sure that nothing follows."""
        rest = self._some(tarfile.RECORDSIZE + 1)  # some tools fill their last record with zeros
        if len(rest) < len(END):
            raise self.wrong("is cut off at its end")
        if len(rest) > tarfile.RECORDSIZE or any(rest):
            raise self.wrong("has more in it than its manifest says")

    def wrong(
        self, what: str, hint: str = "Copy it again, or ask for another copy."
    ) -> BundleError:
        """The error to raise: the archive's name, and what is wrong with it."""
        return BundleError(f"{self.path} {what}", hint=hint)

    def _peek(self) -> tarfile.TarInfo:
        if self._peeked is None:
            block = self._some(BLOCK)
            try:
                self._peeked = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            except (tarfile.HeaderError, ValueError) as error:
                cut = len(block) < BLOCK or not any(block)
                what = "ends too early" if cut and self._file.tell() > BLOCK else "is no bundle"
                raise self.wrong(f"{what}, or it is damaged") from error
        return self._peeked

    def _enter(self, name: str) -> tarfile.TarInfo:
        member = self._peek()
        self._peeked = None
        if member.name != name:
            raise self.wrong(f"has a member {member.name!r} where {name} has to be")
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise self.wrong(f"has a {name} that is no plain file")
        return member

    def _enter_sized(self, name: str, size: int) -> None:
        found = self._enter(name).size
        if found != size:
            raise self.wrong(f"has {found:,} bytes of {name}, its manifest says {size:,}")

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self._some(min(left, _CHUNK))
            if not chunk:
                raise self.wrong(f"is cut off: {left:,} bytes are missing of one of its files")
            left -= len(chunk)
            yield chunk
        self._some(len(padding(size)))

    def _some(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise self.wrong(f"cannot be read: {error}") from error
