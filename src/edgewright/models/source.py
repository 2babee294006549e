"""Where a part of a model file can be had, as the catalog writes it.

hf:OWNER/REPO/PATH@REVISION           a file of a model hub's repository
pypi:NAME==VERSION/MEMBER/PATH        a member of a wheel, read as an archive
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<path>[^@\s]+)@(?P<revision>[\w.-]+)")
_WHEEL = re.compile(
    r"pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)/(?P<member>\S+)"
)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model hub's repository at a pinned revision."""

    repo: str
    path: str
    revision: str

    def __str__(self) -> str:
        return f"hf:{self.repo}/{self.path}@{self.revision}"


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A member of a wheel on the user's package index."""

    name: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"pypi:{self.name}=={self.version}/{self.member}"


Part = HubFile | WheelMember


def parse(text: str) -> Part:
    """The part that `text` names. Raises ValueError saying what is wrong with it."""
    if match := _HUB.fullmatch(text):
        part: Part = HubFile(**match.groupdict())
        path = match["path"]
    elif match := _WHEEL.fullmatch(text):
        part = WheelMember(**match.groupdict())
        path = match["member"]
    elif text.startswith("hf:"):
        raise ValueError(f"{text!r} is not of the form hf:OWNER/REPO/PATH@REVISION")
    elif text.startswith("pypi:"):
        raise ValueError(f"{text!r} is not of the form pypi:NAME==VERSION/MEMBER/PATH")
    else:
        raise ValueError(f"{text!r} is of no known kind: a source begins with hf: or pypi:")
    if ".." in path.split("/"):
        raise ValueError(f"{text!r} climbs out of its repository")
    return part
