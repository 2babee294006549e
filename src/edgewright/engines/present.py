"""Which engines this installation has, by entry point, and how each stands on this machine."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from ..domain.errors import ConfigError, EdgewrightError
from ..models.advice import Machine, engines
from ..models.child import ChildError, be_child, lines_of
from .choice import DEFAULT, Facts, cannot_run, known_as
from .files import Model, file_for, file_key
from .plugins import load, ours, points

WITHIN: Final = 20.0  # seconds in which an engine says how it stands
SOON: Final = 10.0  # the same, while an agent's turn waits for it
LOOK: Final = 1.0  # seconds for a server's list of models

State = Literal["works", "not installed", "not running", "cannot run here", "does not work"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an engine stands. `detail` is its version and hardware, or why it does not work; `hint`
    what to do about that; `servers` the addresses of those of it that run here. `loads`: it can be
    opened with a model's file, or at an address."""

    name: str
    state: State
    detail: str
    hint: str = ""
    servers: tuple[str, ...] = ()
    loads: bool = False

    @property
    def works(self) -> bool:
        return self.state == "works"


def engine_class(name: str) -> Any:
    """The engine's class. Raises ConfigError for an engine that there is not, and
    EngineUnavailableError for one that cannot be imported."""
    if name not in points():
        raise ConfigError(f"There is no engine {name!r}.", hint=f"Known: {', '.join(points())}.")
    return load(name)


def standings(within: float = WITHIN) -> list[Standing]:
    """How each engine stands, asked in a process of its own: one that hangs or crashes, or whose
    library does, is told of and hurts nobody."""
    names = list(points())
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(pool.map(lambda name: standing(name, within), names))


def standing(name: str, within: float = WITHIN) -> Standing:
    """How the engine of that name stands."""
    try:
        with closing(lines_of(__name__, name, within=within)) as lines:
            said = json.loads(list(lines)[-1])
        found = Standing(**{**said, "servers": tuple(said["servers"])})
    except ChildError as error:
        return Standing(name, "does not work", str(error))
    except (ValueError, TypeError, KeyError, IndexError):
        return Standing(name, "does not work", "it did not say how it stands")
    if found.state == "not installed":
        why = cannot_run(name, platform.system(), platform.machine())
        if why:
            return Standing(name, "cannot run here", why)
    return found


def main(name: str) -> None:
    """The child process."""
    be_child()
    print(f"\n{json.dumps(asdict(_look(name)))}")  # libraries leave lines unfinished
    sys.stdout.flush()
    os._exit(0)  # a library's threads may not let it end


def _look(name: str) -> Standing:
    finds = None
    try:
        engine = points()[name].load()  # bare: how it fails is asked here
        opens = hasattr(engine, "open") and hasattr(engine, "formats")
        finds = getattr(engine, "discover", None)
        detail = str(engine.status())
        servers = tuple(finds()) if finds else ()
        loads = opens and bool(engine.formats or finds)
        return Standing(name, "works", detail, servers=servers, loads=loads)
    except EdgewrightError as error:
        state: State = "does not work"
        if "edgewright[" in error.hint:
            state = "not installed"
        elif finds:
            state = "not running"
        return Standing(name, state, str(error), error.hint)
    except Exception as error:  # a plug-in may fail in any way; doctor says how
        return Standing(name, "does not work", str(error) or type(error).__name__)


def machine_key() -> str:
    """What measurements hold for: the processor and how many cores of it we may use."""
    from .machine import cores

    return f"{cpu_name()}, {cores()} cores"


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    try:
        for row in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def suited() -> set[str]:
    """The engines that are made for this machine's hardware; the default is for any."""
    return {advice.plugin for advice in engines(Machine.here())} - {DEFAULT}


class Present(Mapping[str, Facts]):
    """What `choose_engine` needs to know of each engine and this model. An engine is loaded and
    asked when it is looked up, and one that fails is not there.

    Gone through are only those that the rules may name, and these are of ours. A plug-in is looked
    up where a profile has it, which somebody has measured; nobody asked for the others, and each
    could end this process or hold it up. It is asked in a process of its own first.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._suited = suited()
        self._found: dict[str, Facts | None] = {}

    def __getitem__(self, name: str) -> Facts:
        if name not in self._found:
            self._found[name] = self._ask(name)
        if (facts := self._found[name]) is None:
            raise KeyError(name)
        return facts

    def __iter__(self) -> Iterator[str]:
        for name in filter(ours, points()):
            if (name == DEFAULT or name in self._suited or _finds(name)) and name in self:
                yield name

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _ask(self, name: str) -> Facts | None:
        if name not in points() or not (ours(name) or _is_well(name)):
            return None
        try:
            engine = engine_class(name)
            status = str(engine.status())
            path = file_for(engine, self._model)
            serves = serving(engine, self._model)
        except Exception:  # whatever is wrong with it, there are others
            return None
        where = serves[0] if serves else ""
        return Facts(status, file_key(path) if path else "", where, name in self._suited)


def serving(engine: Any, model: Model) -> tuple[str, str] | None:
    """The address of a running server of the engine that has the model, and the name it has there;
    None where there is none."""
    return server_with(engine, (model.name, *(model.card.names if model.card else ())))


def server_with(engine: Any, names: Iterable[str]) -> tuple[str, str] | None:
    """The same for a model that goes by any of the names."""
    finds = getattr(engine, "discover", None)
    known = {known_as(name) for name in names}
    key = os.environ.get(getattr(engine, "key_in", ""), "").strip()
    for address in finds() if finds else ():
        for served in _served(address, key):
            if known_as(served) in known:
                return address, served
    return None


def _served(address: str, key: str) -> list[str]:
    import anyio

    from .endpoints.chat_completions import ChatCompletions
    from .endpoints.http import Http, blocking

    base = address.rstrip("/")
    base = base if base.endswith("/v1") else f"{base}/v1"

    async def look() -> list[str]:
        http = Http(base, api_key=key, timeout=LOOK)
        try:
            with anyio.fail_after(LOOK):
                return await ChatCompletions("", base, http).served()
        finally:
            await http.aclose()

    try:
        return blocking(look)
    except (EdgewrightError, TimeoutError):
        return []


@cache
def _is_well(name: str) -> bool:
    """Whether the engine works, asked once in this process."""
    return standing(name, SOON).works


def _finds(name: str) -> bool:
    try:
        return hasattr(engine_class(name), "discover")
    except Exception:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
