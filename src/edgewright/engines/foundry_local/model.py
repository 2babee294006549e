"""A model in Foundry Local's SDK, in this process: a folder of ONNX Runtime GenAI.

The SDK says that it sends "process information" home even with telemetry off, and it does so from
native code, which the egress guard cannot see: so it lives in threads that have no network at all.
It would also build the prompt by the template that lies in the model's folder. What it is given
instead is a folder of ours, with links to the model's files and a template that passes a prompt
through as it is. See docs/engines/foundry_local.md.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...domain.errors import (
    ContextOverflowError,
    EngineError,
    EngineUnavailableError,
    ModelFileError,
)
from ..chat_format import ChatFormat

CONFIG = "genai_config.json"
_WRITTEN_HERE = (CONFIG, "tokenizer_config.json", "chat_template.jinja")
_AS_IT_IS = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_PREFILL_AT_ONCE = 256  # tokens, after which one that is given up ends

_lock = threading.Lock()
_manager: Any = None  # the SDK lets a process have one, and it is kept
_scratch: Any = None
_numbers = itertools.count(1)
_log = logging.getLogger(__name__)


def library() -> Any:
    """The SDK, to be called in a sealed thread. Raises EngineUnavailableError."""
    try:
        import foundry_local_sdk
    except ImportError as error:
        raise missing(str(error)) from error
    talk = logging.getLogger("foundry_local_sdk")  # which would print on our output
    for handler in list(talk.handlers):
        talk.removeHandler(handler)
    talk.propagate = True
    return foundry_local_sdk


def missing(why: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"Foundry Local's SDK cannot be loaded: {why}",
        hint=f"{sys.executable} -m pip install 'edgewright[foundry]'",
    )


def installed() -> bool:
    """Whether the SDK is there; nothing of it is loaded."""
    return find_spec("foundry_local_sdk") is not None


@dataclass(eq=False, slots=True)
class Answering:
    """One answer on its way. `hear` is given its text, in the model's thread; it must not block,
    and says whether more is wanted."""

    prompt: str
    most: int
    temperature: float
    seed: int | None
    grammar: str  # LLGuidance's Lark, or ""
    hear: Callable[[str], bool]
    finish: str = "stop"
    prompt_tokens: int = 0
    tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    _request: Any = None
    _given_up: bool = False

    def give_up(self) -> None:
        """Nobody wants the answer any more: the model's work on it ends. From any thread."""
        self._given_up = True
        if (request := self._request) is not None:
            with suppress(Exception):  # it may have ended this moment
                request.cancel()


class FoundryModel:
    """The model in `folder`, which chats in that format, loaded, for requests of `context` tokens.
    All is to be used in the threads of `threads`, which must be sealed, as the constructor is.

    Raises EngineUnavailableError, ModelFileError, EngineError.
    """

    def __init__(self, folder: Path, chat: ChatFormat, *, context: int, cores: int) -> None:
        self._sdk = library()
        self.context = context
        number = next(_numbers)
        manager, scratch = _the_manager(self._sdk)
        self._folder = scratch / f"model-{number}"
        self.chat = lay_out(folder, self._folder, chat, context=context, cores=cores)
        self._id = f"edgewright-{number}:1"
        try:
            self._catalog = manager.get_catalog(self._sdk.CatalogType.LOCAL)
            with self._sdk.ModelInfoBuilder() as about:
                about.set_string_property("task", "chat-completion")
                self._model = self._catalog.register_model(self._folder, self._id, about)
            self._model.load()
        except self._sdk.FoundryLocalException as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise ModelFileError(
                f"Foundry Local could not load {folder}: {short(error)}",
                hint="It has to be a folder of ONNX Runtime GenAI: edgewright models convert "
                "ALIAS --to onnx",
            ) from error

    def answer(self, wanted: Answering) -> None:
        """Has it answered. Raises ContextOverflowError, EngineError."""
        sdk = self._sdk
        if wanted._given_up:
            return
        try:
            with sdk.ChatSession(self._model) as session, self._request(wanted) as request:
                wanted.prompt_tokens = self._fitting(session, request)
                room = self.context - wanted.prompt_tokens
                self._set_options(request, wanted, min(wanted.most, room))
                session.set_streaming(True)
                wanted._request = request
                self._listen(session, request, wanted)
        except sdk.FoundryLocalException as error:
            if not wanted._given_up:
                raise _failed(error) from error
        finally:
            wanted._request = None

    def count(self, prompt: str) -> int:
        """How many tokens the prompt is. Raises EngineError."""
        sdk = self._sdk
        nothing = Answering(prompt, 1, 0.0, None, "", lambda _: False)
        try:
            with sdk.ChatSession(self._model) as session, self._request(nothing) as request:
                return int(session.preflight_request(request).prompt_tokens)
        except sdk.FoundryLocalException as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Takes the model out of memory."""
        with suppress(self._sdk.FoundryLocalException, RuntimeError):  # it is closed at exit
            self._model.unload()
            self._catalog.unregister_model(self._id)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _request(self, wanted: Answering) -> Any:
        request = self._sdk.Request().add_item(self._sdk.MessageItem.user(wanted.prompt))
        return self._set_options(request, wanted, 1)

    def _set_options(self, request: Any, wanted: Answering, most: int) -> Any:
        # What llama.cpp takes: the likeliest 40, of these 95 %.
        spread = {"top_k": 40, "top_p": 0.95} if wanted.temperature > 0 else {}
        search = self._sdk.SearchOptions(
            max_output_tokens=most, temperature=wanted.temperature, seed=wanted.seed, **spread
        )
        held: Mapping[str, str] = {}
        if wanted.grammar:
            held = {"guidance_type": "lark_grammar", "guidance_data": wanted.grammar}
        return request.set_options(
            self._sdk.RequestOptions(search=search, additional_options=dict(held))
        )

    def _fitting(self, session: Any, request: Any) -> int:
        tokens = int(session.preflight_request(request).prompt_tokens)
        if tokens >= self.context:
            raise ContextOverflowError(
                f"The prompt does not fit the model's context window: it takes {tokens} tokens "
                f"of {self.context}.",
                hint="Shorten the message, or give the agent a larger Config(context=…).",
            )
        return tokens

    def _listen(self, session: Any, request: Any, wanted: Answering) -> None:
        began = time.perf_counter()
        with session.process_streaming_request(request) as stream:
            if wanted._given_up:  # before there was something to cancel
                return
            for item in stream:
                wanted.tokens += 1
                wanted.prefill_seconds = wanted.prefill_seconds or time.perf_counter() - began
                if not wanted.hear(item.text) or wanted._given_up:
                    break
            else:
                with stream.final_response as last:
                    if last.finish_reason == self._sdk.FinishReason.LENGTH:
                        wanted.finish = "length"
                    wanted.tokens = int(last.get_usage().completion_tokens)
        wanted.decode_seconds = time.perf_counter() - began - wanted.prefill_seconds


def _the_manager(sdk: Any) -> tuple[Any, Path]:
    """The process's manager, and a folder of this process for what it writes."""
    global _manager, _scratch
    with _lock:
        if _manager is None:
            if sdk.FoundryLocalManager.instance is not None:
                raise EngineUnavailableError(
                    "Foundry Local's SDK was initialized in this process by something else, with "
                    "the network within its reach.",
                    hint="Let edgewright be the first, or use that one's service by its endpoint.",
                )
            # It keeps registrations there, of models that are gone with us.
            _scratch = tempfile.TemporaryDirectory(prefix="edgewright-foundry-")
            root = Path(_scratch.name)
            _manager = sdk.FoundryLocalManager(
                sdk.Configuration(
                    app_name="edgewright",
                    app_data_dir=str(root / "app"),
                    model_cache_dir=str(root / "cache"),
                    logs_dir=str(root / "logs"),
                    log_level=sdk.LogLevel.FATAL,
                    disable_nonessential_telemetry=True,
                )
            )
        return _manager, Path(_scratch.name)


def lay_out(
    folder: Path, target: Path, chat: ChatFormat, *, context: int, cores: int
) -> ChatFormat:
    """Makes `target` the model in `folder` for raw prompts in the format `chat`: links, and three
    files of our own. Returns the format as its tokenizer has it.

    Raises ModelFileError for what is no model of ONNX Runtime GenAI, or chats otherwise.
    """
    config = _json(folder / CONFIG)
    tokenizer = _json(folder / "tokenizer_config.json")
    marks = _added(folder / "tokenizer.json")
    chat = chat.fitted(lambda mark: [0] * (mark in marks), folder)
    try:
        model, decoder = config["model"], config["model"]["decoder"]
        options = decoder.setdefault("session_options", {})
        given = model.get("eos_token_id", [])
        ends = [*given] if isinstance(given, list) else [given]
        ends += [marks[name] for name in chat.stops if name in marks]
        model["eos_token_id"] = list(dict.fromkeys(ends))
        model["context_length"] = min(context, int(model.get("context_length", context)))
        options["intra_op_num_threads"] = cores
        options["session.intra_op.allow_spinning"] = "0"  # idle threads must not eat the machine
        search = config.setdefault("search", {})
        search |= {"max_length": model["context_length"], "chunk_size": _PREFILL_AT_ONCE}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{folder / CONFIG} is not what it should be: {error!r}") from error
    target.mkdir(parents=True)
    for file in folder.resolve().iterdir():
        if file.name not in _WRITTEN_HERE and file.is_file():
            try:
                (target / file.name).symlink_to(file)
            except OSError:  # Windows, for a user who may not
                shutil.copyfile(file, target / file.name)
    tokenizer |= {"chat_template": _AS_IT_IS, "add_bos_token": False}
    (target / CONFIG).write_text(json.dumps(config), "utf-8")
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer), "utf-8")
    (target / "chat_template.jinja").write_text(_AS_IT_IS, "utf-8")
    return chat


def _added(file: Path) -> dict[str, Any]:
    """The numbers of the tokens beside the vocabulary's, which its control tokens are among."""
    added = _json(file).get("added_tokens") or ()
    try:
        return {str(token["content"]): token["id"] for token in added}
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{file} is not what it should be: {error!r}") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{file} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="It has to be a folder of ONNX Runtime GenAI, with its tokenizer.",
        ) from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{file} is not what it should be.")
    return value


def _failed(error: Exception) -> EngineError:
    why = short(error)
    if "grammar" in why.lower():
        return EngineError(
            f"The answer cannot be held to what is asked: {why}",
            hint="Simplify the schema or grammar.",
        )
    return EngineError(f"Foundry Local failed: {why}")


def short(error: object) -> str:
    """What the SDK says went wrong, without the C++ function that it begins with."""
    said = re.sub(r"^\w+\.cc:\d+ .*?\)(?: const)? (?=[a-z])", "", str(error).strip())
    return said.partition("\n<state>")[0].strip()[:400] or "it does not say why"
