"""What the container that this process is in, if it is in one, leaves it of memory.

Linux has it as files, a folder for each group of processes. A limit holds for the group and all
groups in it, so that each one on the way up may be the one that counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Where the groups are; the files with their limits and with what is used; and the line of
# memory.stat with the pages of files that nobody has touched lately, which the kernel takes back
# before it refuses anything.
_V2: Final = ("sys/fs/cgroup", ("memory.max", "memory.high"), "memory.current", "inactive_file")
_V1: Final = (
    "sys/fs/cgroup/memory",
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    "total_inactive_file",
)
_KINDS: Final = {"": _V2, "memory": _V1}  # by what /proc/self/cgroup says the groups are for


def left(root: Path = Path("/")) -> int | None:
    """Bytes that the limits on this process's groups leave it; None where there are no limits.
    `root` is where /proc and /sys are."""
    rooms = []
    for controllers, path in _groups(root):
        for kind in {*controllers.split(",")} & {*_KINDS}:
            mount, limits, usage, cached = _KINDS[kind]
            for folder in _upwards(root / mount, path):
                rooms += _room(folder, limits, usage, cached)
    return max(0, min(rooms)) if rooms else None


def _groups(root: Path) -> Iterator[tuple[str, str]]:
    """This process's groups: what each is for, and its path."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            yield fields[1], fields[2]


def _upwards(mount: Path, path: str) -> list[Path]:
    """The group's folder and all above it. A container often has the name that its group has
    outside, and sees only the end of it as folders: then it is that end."""
    names = [name for name in path.split("/") if name]
    if ".." in names:  # moved out of what can be seen from here
        names = []
    while names and not mount.joinpath(*names).is_dir():
        del names[0]
    return [mount.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)]


def _room(folder: Path, limits: tuple[str, ...], usage: str, cached: str) -> list[int]:
    """The bytes that the limits of one group leave; none where it has none."""
    texts = (_text(folder / limit).strip() for limit in limits)
    known = [int(text) for text in texts if text.isdigit()]  # else "max"
    used = _text(folder / usage).strip()
    if not known or not used.isdigit():
        return []
    lines = (line.partition(" ") for line in _text(folder / "memory.stat").splitlines())
    back = next((int(size) for name, _, size in lines if name == cached and size.isdigit()), 0)
    return [min(known) - max(0, int(used) - back)]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
