"""vLLM's launch line for a model, from a named scenario: written for vLLM 0.32."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ...domain.errors import ConfigError
from ..processes.server_process import in_url

Value = str | int | float | bool | Mapping[str, object]

VERSION: Final = "0.32.0"  # of vLLM, whose options these are
IMAGE: Final = f"docker.io/vllm/vllm-openai:v{VERSION}"
MODULE: Final = "vllm.entrypoints.openai.api_server"
LOOPBACK: Final = "127.0.0.1"
GUESSES: Final = 4  # tokens that a draft model is ahead
# What is sent home is nobody's business, and offline it cannot be.
QUIET: Final = MappingProxyType({"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"})
SECRETS: Final = ("VLLM_API_KEY", "HF_TOKEN")  # from the environment, never on a command line


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a deployment is sized for."""

    memory: float  # share of each GPU's
    length: int  # tokens of a request, prompt and answer
    tensor: int  # GPUs that a layer is split over
    pipeline: int  # stages that the layers are split into, each of `tensor` GPUs
    sequences: int  # at once
    batched: int  # tokens computed in a step
    awq: bool = False
    prefixes: bool = False  # computed once and used again
    chunked: bool = False  # long prompts are computed in between
    draft: bool = False  # a small model guesses ahead
    backend: str = ""  # that holds output to a schema


SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        "development": Scenario(0.6, 2048, 1, 1, 32, 2048),
        "staging": Scenario(0.8, 4096, 1, 1, 64, 4096, awq=True, prefixes=True),
        "production-low": Scenario(
            0.85, 4096, 1, 1, 128, 8192, awq=True, prefixes=True, chunked=True
        ),
        "production-high": Scenario(
            0.9, 8192, 2, 1, 256, 16384, awq=True, prefixes=True, chunked=True, draft=True
        ),
        # Guidance reads the grammars that agents are held to; the others do not.
        "enterprise": Scenario(
            0.95, 16384, 4, 2, 512, 32768, True, True, True, True, backend="guidance"
        ),
    }
)

# The smallest of each family: a draft has to share the model's vocabulary.
DRAFTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "qwen2.5-coder": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "qwen2.5": "Qwen/Qwen2.5-0.5B-Instruct",
        "qwen3": "Qwen/Qwen3-0.6B",
        "llama-3": "meta-llama/Llama-3.2-1B-Instruct",
        "smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct",
    }
)

# Options that are something else's to say here, and whose.
_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "api-key": "Set VLLM_API_KEY in the environment: here everybody could read it.",
        "hf-token": "Set HF_TOKEN in the environment: here everybody could read it.",
        "model": "It is the command's argument.",
        "host": "Use --host.",
        "port": "Use --port.",
        "served-model-name": "Use --name.",
    }
)

# What is reckoned with here. vLLM reads 4k as 4000 and 4K as 4096, but not in all of them.
_WHOLE: Final = ("tensor-parallel-size", "pipeline-parallel-size", "max-num-seqs")
_LONG: Final = ("max-model-len", "max-num-batched-tokens")
_SHARE: Final = "gpu-memory-utilization"
_BY_LETTER: Final = {
    letter: base**power
    for letters, base in (("kmgt", 1000), ("KMGT", 1024))
    for power, letter in enumerate(letters, 1)
}


@dataclass(frozen=True, slots=True)
class Launch:
    """A vLLM server to be started: the model, a folder or a name on the hub, and vLLM's options by
    their names without dashes."""

    model: str
    options: Mapping[str, Value]
    host: str = LOOPBACK

    def whole(self, name: str) -> int | None:
        """The whole number that the option is set to; None where it is left to vLLM. Raises
        ConfigError for what vLLM would not take for one."""
        value = self.options.get(name)
        if value is None or (name == "max-model-len" and value in ("auto", "-1")):
            return None
        try:
            number = _number(_text(value), by_letter=name in _LONG)
        except (ValueError, OverflowError):
            number = 0
        if not 1 <= number <= 10**12:
            raise ConfigError(
                f"{name} cannot be {_text(value)!r}.",
                hint=f"Write a whole number: --set {name}={4096 if name in _LONG else 1}",
            )
        return number

    def share(self) -> float:
        """Of each GPU's memory. Raises ConfigError for what cannot be one."""
        value = self.options.get(_SHARE, 0.9)
        try:
            share = float(_text(value))
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            raise ConfigError(
                f"{_SHARE} cannot be {_text(value)!r}.",
                hint=f"Write a share, more than 0 and up to 1: --set {_SHARE}=0.8",
            )
        return share

    def command(self, port: int, python: str = "python") -> list[str]:
        """The command line."""
        return [python, "-m", MODULE, *self._arguments(self.model, self.host, port)]

    def container(self, port: int, program: str = "docker", image: str = IMAGE) -> list[str]:
        """The command line that runs it in a container, on the same port of this machine. `program`
        is docker or podman; a model in a folder is mounted, and so is its draft. Raises ConfigError
        for a folder that cannot be, and a host that is no address."""
        gpus = ["--device", "nvidia.com/gpu=all"] if program == "podman" else ["--gpus", "all"]
        line = [program, "run", "--rm", "--ipc=host", *gpus]
        line += ["-p", f"{in_url(_published(self.host))}:{port}:8000"]
        for name, value in QUIET.items():
            line += ["-e", f"{name}={value}"]
        for name in SECRETS:  # their values come from the environment that this is run in
            line += ["-e", name]
        model, mount = _mounted(self.model, "/models")
        mounts, inside = [mount], self
        guess = self.options.get("speculative-config")
        if isinstance(guess, Mapping) and "model" in guess:
            draft, mount = _mounted(str(guess["model"]), "/drafts")
            options = {**self.options, "speculative-config": {**guess, "model": draft}}
            mounts, inside = [*mounts, mount], replace(self, options=options)
        for mount in dict.fromkeys(mounts):
            line += ["-v", mount]
        line += ["--entrypoint", "python3", image, "-m", MODULE]
        return [*line, *inside._arguments(model, "0.0.0.0", 8000)]  # noqa: S104 - in the container

    def _arguments(self, model: str, host: str, port: int) -> list[str]:
        line = [*_said("model", model), *_said("host", host), "--port", str(port)]
        for name, value in self.options.items():
            if value is True or value is False:
                line.append(f"--{'' if value else 'no-'}{name}")
            else:
                line += _said(name, _text(value))
        return line


def launch(
    model: str,
    scenario: str = "development",
    *,
    name: str = "",
    draft: str = "",
    trust_remote_code: bool = False,
    overrides: Iterable[str] = (),
    host: str = LOOPBACK,
) -> Launch:
    """The scenario's server for the model, known to clients by `name`.

    `draft` is the small model that guesses ahead where the scenario has one; by default the
    smallest of the model's family, or none but the prompt where that is not known. `overrides` are
    `option=value`, named as vLLM does; `none` leaves an option out. Raises ConfigError.
    """
    if not model.strip() or not host.strip():
        raise ConfigError(
            f"The {'host' if model.strip() else 'model'} is empty.",
            hint="Name a Hugging Face folder or a model on the hub, and an address to listen at.",
        )
    if scenario not in SCENARIOS:
        raise ConfigError(
            f"There is no scenario {scenario!r}.", hint=f"Use one of {', '.join(SCENARIOS)}."
        )
    wanted = SCENARIOS[scenario]
    options: dict[str, Value] = {
        "served-model-name": name or _last_name(model),
        "gpu-memory-utilization": wanted.memory,
        "max-model-len": wanted.length,
        "tensor-parallel-size": wanted.tensor,
        "pipeline-parallel-size": wanted.pipeline,
        "enable-prefix-caching": wanted.prefixes,
        "enable-chunked-prefill": wanted.chunked,
        "max-num-seqs": wanted.sequences,
        "max-num-batched-tokens": wanted.batched,
        "enable-prompt-tokens-details": True,  # or nobody learns what was cached
        "enable-log-requests": False,
    }
    if wanted.awq:
        options["quantization"] = "awq"
    if wanted.draft:
        options["speculative-config"] = _speculation(draft or family_draft(model))
    if wanted.backend:
        options["structured-outputs-config"] = {"backend": wanted.backend}
    if trust_remote_code:
        options["trust-remote-code"] = True
    for override in overrides:
        _override(options, override)
    start = Launch(model, MappingProxyType(options), host)
    for option in (*_WHOLE, *_LONG):
        start.whole(option)
    start.share()
    return start


def family_draft(model: str) -> str:
    """The model that guesses ahead for this one, or "" where none is known."""
    name = Path(model).name.lower()
    return next((draft for family, draft in DRAFTS.items() if family in name), "")


def _last_name(model: str) -> str:
    path = Path(model).expanduser()
    return (path if path.name.strip(".") else path.resolve()).name or "model"


def _speculation(draft: str) -> dict[str, object]:
    if draft:
        return {"model": draft, "num_speculative_tokens": GUESSES}
    return {"method": "ngram", "num_speculative_tokens": GUESSES, "prompt_lookup_max": GUESSES}


def _mounted(model: str, below: str) -> tuple[str, str]:
    """Where a container has the model, and the mount for it: of its folder, or of what was fetched
    from the hub."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return model, "edgewright-models:/root/.cache/huggingface"
    folder = folder.resolve()
    if ":" in str(folder):
        raise ConfigError(
            f"A container cannot be given {folder}: it has a colon in its name.",
            hint="Rename the folder.",
        )
    inside = f"{below}/{folder.name}"
    return inside, f"{folder}:{inside}:ro"


def _published(host: str) -> str:
    """The address at which a container's port is published; a name is none."""
    try:
        return str(ip_address(LOOPBACK if host == "localhost" else host))
    except ValueError:
        raise ConfigError(
            f"A container's port cannot be published at {host!r}.",
            hint="Use an address: --host 127.0.0.1, or 0.0.0.0 for others to reach it.",
        ) from None


def _said(option: str, value: str) -> list[str]:
    """The option as arguments; a value that looks like an option is not to be taken for one."""
    return [f"--{option}={value}"] if value.startswith("-") else [f"--{option}", value]


def _text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(text: str, *, by_letter: bool) -> int:
    """Raises ValueError and OverflowError."""
    if by_letter and (read := re.fullmatch(r"([0-9.]+)([kmgtKMGT])", text)):
        said, letter = read.groups()
        return int((float if letter.islower() else int)(said) * _BY_LETTER[letter])
    return int(text)


def _override(options: dict[str, Value], text: str) -> None:
    key, equals, said = text.partition("=")
    key = key.strip().lstrip("-").replace("_", "-")
    if not key or not equals:
        raise ConfigError(
            f"{text!r} sets nothing.", hint="Write option=value, for example max-model-len=1024"
        )
    if key in _ELSEWHERE:
        raise ConfigError(f"{key} cannot be set here.", hint=_ELSEWHERE[key])
    if said == "none":
        options.pop(key, None)
    else:
        words: dict[str, Value] = {"true": True, "false": False}
        options[key] = words.get(said, said)
