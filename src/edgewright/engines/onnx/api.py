"""ONNX Runtime GenAI by its C interface, which it has for other languages.

Its Python classes hold the interpreter's lock while they compute: an event loop in the same process
stood still for as long as a prompt took. Calls through `ctypes` let go of it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...domain.errors import EngineError, EngineUnavailableError

_NAMES = {"win32": "onnxruntime-genai.dll", "darwin": "libonnxruntime-genai.dylib"}


def library() -> Any:
    """The package `onnxruntime_genai`. Raises EngineUnavailableError."""
    # Set before the library is loaded: from 1.29 on it writes to Microsoft else, and only this,
    # not its own function for the purpose, keeps it from doing so. See docs/engines/onnx.md.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import llguidance  # noqa: F401  # all or none: they come with the one extra
        import onnxruntime_genai
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"ONNX Runtime GenAI cannot be loaded: {error}",
            hint=f"{sys.executable} -m pip install 'edgewright[onnx]'",
        ) from error
    return onnxruntime_genai


class _Calls:
    """The library's functions. One that fails raises EngineError."""

    def __init__(self) -> None:
        library()
        spec = importlib.util.find_spec("onnxruntime_genai")
        assert spec is not None and spec.origin is not None
        name = _NAMES.get(sys.platform, "libonnxruntime-genai.so")
        self._library = ctypes.CDLL(str(Path(spec.origin).parent / name))

    def value(self, name: str, kind: Any, *arguments: Any) -> Any:
        function = self._library[name]
        function.restype = kind
        return function(*arguments)

    def do(self, name: str, *arguments: Any) -> None:
        if failed := self.value(name, ctypes.c_void_p, *arguments):
            result = ctypes.c_void_p(failed)
            said = self.value("OgaResultGetError", ctypes.c_char_p, result)
            text = said.decode("utf-8", "replace").strip()
            self.value("OgaDestroyResult", None, result)
            raise EngineError(f"ONNX Runtime: {text[:400]}")

    def make(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self.do(name, *arguments, ctypes.byref(made))
        return made


class Model:
    """The model in `folder`, loaded, with `overlay` (JSON) over its configuration.

    Raises EngineError; EngineUnavailableError without the library.
    """

    def __init__(self, folder: Path, overlay: str) -> None:
        self.calls = _Calls()
        config = self.calls.make("OgaCreateConfig", os.fsencode(folder))
        try:
            self.calls.do("OgaConfigOverlay", config, overlay.encode())
            self.handle = self.calls.make("OgaCreateModelFromConfig", config)
        finally:
            self.calls.value("OgaDestroyConfig", None, config)

    def __del__(self) -> None:
        if handle := self.__dict__.pop("handle", None):
            self.calls.value("OgaDestroyModel", None, handle)


class Generator:
    """One sequence of at most `length` tokens, and the cache of what is computed of it. Not to be
    used from two threads at a time. Raises EngineError."""

    def __init__(self, model: Model, length: int) -> None:
        self._model = model  # which must outlive it
        self._calls = calls = model.calls
        params = calls.make("OgaCreateGeneratorParams", model.handle)
        try:
            calls.do(
                "OgaGeneratorParamsSetSearchNumber",
                params,
                b"max_length",
                ctypes.c_double(length),
            )
            self._handle = calls.make("OgaCreateGenerator", model.handle, params)
        finally:
            calls.value("OgaDestroyGeneratorParams", None, params)

    def __len__(self) -> int:
        zero = ctypes.c_size_t(0)
        count = self._calls.value(
            "OgaGenerator_GetSequenceCount", ctypes.c_size_t, self._handle, zero
        )
        return int(count)

    def rewind(self, length: int) -> None:
        """Forgets all but the first tokens."""
        self._calls.do("OgaGenerator_RewindTo", self._handle, ctypes.c_size_t(length))

    def append(self, tokens: Sequence[int]) -> None:
        """Computes what follows after these tokens."""
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        self._calls.do(
            "OgaGenerator_AppendTokens", self._handle, array, ctypes.c_size_t(len(tokens))
        )

    def logits(self, vocabulary: int) -> Any:
        """Of the token after the last, a float32 array."""
        import numpy

        tensor = self._calls.make("OgaGenerator_GetLogits", self._handle)
        try:
            data = self._calls.make("OgaTensorGetData", tensor)
            values = ctypes.cast(data, ctypes.POINTER(ctypes.c_float))
            return numpy.ctypeslib.as_array(values, (vocabulary,)).copy()
        finally:
            self._calls.value("OgaDestroyTensor", None, tensor)

    def __del__(self) -> None:
        if handle := self.__dict__.pop("_handle", None):
            self._calls.value("OgaDestroyGenerator", None, handle)
