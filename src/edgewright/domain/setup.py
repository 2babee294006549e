"""What an engine is opened with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Setup:
    """For `Engine.open(setup)`: what an engine needs of it, it takes; the rest it leaves.

    `model` is the name it is known by. An engine that loads files gets `path`, in one of its
    `formats`; one that is a server gets `endpoint`, empty for where it usually listens, and
    `api_key`. `template` is the name of the chat format that the model is talked to in, empty for
    the one that its file declares. `context` is tokens a request, `slots` requests at once,
    `timeout` seconds without a byte.
    """

    model: str
    path: Path | None = None
    endpoint: str = ""
    api_key: str = ""
    context: int = 4096
    slots: int = 4
    threads: int | None = None
    timeout: float = 60.0
    template: str = ""
