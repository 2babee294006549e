"""The agent a command runs: the default one, or one from a file."""

from __future__ import annotations

import importlib.util
import shlex
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.errors import ConfigError, EdgewrightError

if TYPE_CHECKING:
    from ..runtime import Agent


def find_agent(spec: str, model: str, offline: bool, max_memory: str = "") -> Agent:
    """The agent named by `path.py:name`, or a plain one on `model`; all models of the process
    keep within `max_memory`, where it is given. Raises ConfigError."""
    from ..agent.config import Config
    from ..residency.resources import ResourceConfig
    from ..runtime import Agent, set_resources

    if max_memory:
        set_resources(ResourceConfig(max_memory_usage=max_memory))
    if offline:
        from ..security.egress import go_offline

        go_offline()
    if not spec:
        return Agent(Config(model_id=model or None, offline_mode=offline))
    if model:
        raise ConfigError(
            "--model and --agent do not go together.",
            hint="The agent's own Config names its model.",
        )
    path, _, name = spec.rpartition(":")
    if not path:
        path, name = name, "agent"
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"There is no file {file}.", hint="Use --agent path/to/file.py:name")
    loader = SourceFileLoader(file.stem, str(file))  # whatever the file is called
    loaded = importlib.util.spec_from_loader(file.stem, loader)
    assert loaded is not None
    module = importlib.util.module_from_spec(loaded)
    sys.modules[file.stem] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        loader.exec_module(module)
    except EdgewrightError:
        raise  # it says best itself what is wrong with the agent
    except SyntaxError as error:
        raise ConfigError(f"{file} is not Python: {error}.") from error
    except Exception as error:  # foreign code fails in any way
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)
        ]
        where = f" in line {lines[-1]}" if lines else ""
        raise ConfigError(
            f"{file} failed{where}: {type(error).__name__}: {error}",
            hint=f"`python {shlex.quote(path)}` shows where it comes from.",
        ) from error
    agent = getattr(module, name, None)
    if not isinstance(agent, Agent):
        raise ConfigError(
            f"{file} has no edgewright.Agent named {name!r}.",
            hint="Agents in it: "
            + (", ".join(n for n, v in vars(module).items() if isinstance(v, Agent)) or "none"),
        )
    return agent
