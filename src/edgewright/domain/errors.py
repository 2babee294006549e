"""Every error edgewright raises, as one tree.

EdgewrightError
├── ConfigError                 config_invalid
├── OfflineError                offline_refused
├── ToolDefinitionError         tool_invalid
├── ModelError
│   ├── UnknownModelError       model_unknown
│   ├── ModelNotPulledError     model_not_pulled
│   ├── ModelFileError          model_file_invalid
│   ├── ModelTooLargeError      model_too_large
│   │   └── MemoryBudgetError   memory_budget_exceeded
│   ├── ChecksumError           model_checksum_mismatch
│   ├── FetchError              model_fetch_failed
│   ├── QuantizeError           model_quantize_failed
│   ├── ConvertError            model_convert_failed
│   ├── BundleError             bundle_invalid
│   └── DiskFullError           disk_full
├── EngineError
│   ├── EngineUnavailableError  engine_unavailable
│   ├── EngineTimeoutError      engine_timeout
│   ├── EngineResponseError     engine_bad_response
│   └── ContextOverflowError    context_overflow
├── ResultError                 result_invalid
├── StorageError                storage_failed
│   ├── StorageBusyError        storage_busy
│   └── StorageReadOnlyError    storage_read_only
└── SessionBusyError            session_busy

`code` is stable and safe to match on; the message says what happened; `hint` says what to do next.
"""


class EdgewrightError(Exception):
    """Base of all errors. `str(error)` is the message; `error.hint` the way out, possibly empty."""

    code = "edgewright_error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(hint)  # a traceback shows it below the message

    def as_dict(self) -> dict[str, str]:
        """The error as the JSON object the CLI prints: code, message, hint."""
        return {"code": self.code, "message": str(self), "hint": self.hint}


class ConfigError(EdgewrightError):
    code = "config_invalid"


class OfflineError(EdgewrightError):
    """A connection other than loopback was attempted while offline."""

    code = "offline_refused"


class ToolDefinitionError(EdgewrightError):
    """A function or schema cannot become a tool."""

    code = "tool_invalid"


class ModelError(EdgewrightError):
    code = "model_error"


class UnknownModelError(ModelError):
    code = "model_unknown"


class ModelNotPulledError(ModelError):
    code = "model_not_pulled"


class ModelFileError(ModelError):
    """The file is not a readable GGUF model."""

    code = "model_file_invalid"


class ModelTooLargeError(ModelError):
    code = "model_too_large"


class MemoryBudgetError(ModelTooLargeError):
    """The model fits the machine, not the budget it is given."""

    code = "memory_budget_exceeded"


class ChecksumError(ModelError):
    code = "model_checksum_mismatch"


class FetchError(ModelError):
    code = "model_fetch_failed"


class QuantizeError(ModelError):
    code = "model_quantize_failed"


class ConvertError(ModelError):
    """A model could not be converted, or the result does not answer as the model does."""

    code = "model_convert_failed"


class BundleError(ModelError):
    """A bundle is damaged, not what it says, or not signed as it has to be."""

    code = "bundle_invalid"


class DiskFullError(ModelError):
    code = "disk_full"


class EngineError(EdgewrightError):
    code = "engine_error"


class EngineUnavailableError(EngineError):
    """The engine cannot be reached or is not installed."""

    code = "engine_unavailable"


class EngineTimeoutError(EngineError):
    code = "engine_timeout"


class EngineResponseError(EngineError):
    """The engine answered something that is not an answer."""

    code = "engine_bad_response"


class ContextOverflowError(EngineError):
    """What must be in the prompt does not fit the model's context window."""

    code = "context_overflow"


class ResultError(EdgewrightError):
    """The model gave no valid `result`. `candidate` is the last it gave: the JSON value, or the
    text where that is not JSON. `errors` says what is wrong with it, one line a place."""

    code = "result_invalid"

    def __init__(
        self, message: str, *, candidate: object, errors: tuple[str, ...], hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.candidate = candidate
        self.errors = errors


class StorageError(EdgewrightError):
    code = "storage_failed"


class StorageBusyError(StorageError):
    code = "storage_busy"


class StorageReadOnlyError(StorageError):
    code = "storage_read_only"


class SessionBusyError(EdgewrightError):
    """Another turn of the same session is running."""

    code = "session_busy"
